//! Our kernels as differentiable operations of the tensor library: a backend extension and its backward nodes.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Shape, Tensor};

use super::convolution::Convolution;
use super::instructions::{Arithmetic, Instructions};
use super::norm::{Moments, Norm};
use super::transposed::Transposed;

/// The operations.
#[backend_extension(Autodiff, Flex)]
pub(super) trait Kernels: Backend {
    /// See [`super::conv3d`].
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: [usize; 3],
        arithmetic: Arithmetic,
    ) -> FloatTensor<Self>;
    /// See [`super::conv_transpose3d`].
    fn transpose(x: FloatTensor<Self>, weight: FloatTensor<Self>, arithmetic: Arithmetic) -> FloatTensor<Self>;
    /// See [`super::instance_norm_leaky_relu`].
    fn normalise(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        slope: f64,
        set: Instructions,
    ) -> FloatTensor<Self>;
}

pub(super) fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3], arithmetic: Arithmetic) -> Tensor<5> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Kernels>::convolve(x, weight, stride, arithmetic))
}

pub(super) fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>, arithmetic: Arithmetic) -> Tensor<5> {
    Tensor::from_dispatch(<Dispatch as Kernels>::transpose(x.into_dispatch(), weight.into_dispatch(), arithmetic))
}

pub(super) fn instance_norm_leaky_relu(
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    slope: f64,
    set: Instructions,
) -> Tensor<5> {
    let [x, gamma, beta] = [x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Kernels>::normalise(x, gamma, beta, epsilon, slope, set))
}

impl Kernels for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, stride: [usize; 3], arithmetic: Arithmetic) -> FlexTensor {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let shape = convolution(&x, &weight, stride, arithmetic);
        let [depth, height, width] = shape.out_shape();
        tensor(shape.forward(x.storage(), weight.storage()), &[shape.samples, shape.outputs, depth, height, width])
    }

    fn transpose(x: FlexTensor, weight: FlexTensor, arithmetic: Arithmetic) -> FlexTensor {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let shape = transposed(&x, &weight, arithmetic);
        let [depth, height, width] = shape.out_shape();
        tensor(shape.forward(x.storage(), weight.storage()), &[shape.samples, shape.outputs, depth, height, width])
    }

    fn normalise(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
        slope: f64,
        set: Instructions,
    ) -> FlexTensor {
        let x = x.to_contiguous();
        normalised(&x, &gamma.to_contiguous(), &beta.to_contiguous(), norm(&x, epsilon, slope, set)).0
    }
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape.to_vec())), DType::F32)
}

fn shape_of(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().to_vec()
}

fn convolution(x: &FlexTensor, weight: &FlexTensor, stride: [usize; 3], arithmetic: Arithmetic) -> Convolution {
    let (x, weight) = (shape_of(x), shape_of(weight));
    let kernel = [weight[2], weight[3], weight[4]];
    assert!(x[1] == weight[1], "weights {weight:?} do not fit a tensor of {x:?}");
    let known = kernel.iter().zip(stride).all(|(kernel, stride)| matches!((kernel, stride), (1 | 3, 1) | (3, 2)));
    assert!(known, "no kernel {kernel:?} of stride {stride:?}");
    let shape = [x[2], x[3], x[4]];
    Convolution { samples: x[0], inputs: x[1], outputs: weight[0], kernel, stride, shape, arithmetic }
}

fn transposed(x: &FlexTensor, weight: &FlexTensor, arithmetic: Arithmetic) -> Transposed {
    let (x, weight) = (shape_of(x), shape_of(weight));
    let kernel = [weight[2], weight[3], weight[4]];
    let fits = x[1] == weight[0] && kernel.iter().all(|k| matches!(k, 1 | 2));
    assert!(fits, "weights {weight:?} do not fit a tensor of {x:?}");
    Transposed { samples: x[0], inputs: x[1], outputs: weight[1], kernel, shape: [x[2], x[3], x[4]], arithmetic }
}

fn norm(x: &FlexTensor, epsilon: f64, slope: f64, set: Instructions) -> Norm {
    let shape = shape_of(x);
    Norm { set, channels: shape[1], voxels: shape[2..].iter().product(), epsilon: epsilon as f32, slope: slope as f32 }
}

fn normalised(x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, norm: Norm) -> (FlexTensor, Vec<Moments>) {
    let (y, moments) = norm.forward(x.storage(), gamma.storage(), beta.storage());
    (tensor(y, &shape_of(x)), moments)
}

#[derive(Debug)]
struct ConvolveBackward;

impl Backward<Flex, 2> for ConvolveBackward {
    type State = (FlexTensor, FlexTensor, [usize; 3], Arithmetic);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, weight_node] = ops.parents;
        let dy = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, stride, arithmetic) = ops.state;
        let shape = convolution(&x, &weight, stride, arithmetic);
        if let Some(node) = weight_node {
            let gradient = shape.weight_gradient(x.storage(), dy.storage());
            gradients.register::<Flex>(node.id, tensor(gradient, &shape_of(&weight)));
        }
        if let Some(node) = x_node {
            let gradient = shape.input_gradient(weight.storage(), dy.storage());
            gradients.register::<Flex>(node.id, tensor(gradient, &shape_of(&x)));
        }
    }
}

#[derive(Debug)]
struct TransposeBackward;

impl Backward<Flex, 2> for TransposeBackward {
    type State = (FlexTensor, FlexTensor, Arithmetic);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, weight_node] = ops.parents;
        let dy = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, arithmetic) = ops.state;
        let shape = transposed(&x, &weight, arithmetic);
        if let Some(node) = weight_node {
            let gradient = shape.weight_gradient(x.storage(), dy.storage());
            gradients.register::<Flex>(node.id, tensor(gradient, &shape_of(&weight)));
        }
        if let Some(node) = x_node {
            let gradient = shape.input_gradient(weight.storage(), dy.storage());
            gradients.register::<Flex>(node.id, tensor(gradient, &shape_of(&x)));
        }
    }
}

#[derive(Debug)]
struct NormaliseBackward;

impl Backward<Flex, 3> for NormaliseBackward {
    type State = (FlexTensor, FlexTensor, FlexTensor, Vec<Moments>, Norm);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, gamma_node, beta_node] = ops.parents;
        let dy = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, gamma, beta, moments, norm) = ops.state;
        let (gamma, beta) = (gamma.storage(), beta.storage());
        let found = norm.backward(x.storage(), dy.storage(), &moments, gamma, beta);
        if let Some(node) = x_node {
            gradients.register::<Flex>(node.id, tensor(found.x, &shape_of(&x)));
        }
        for (node, values) in [(gamma_node, found.gamma), (beta_node, found.beta)] {
            if let Some(node) = node {
                let shape = [values.len()];
                gradients.register::<Flex>(node.id, tensor(values, &shape));
            }
        }
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: [usize; 3],
        arithmetic: Arithmetic,
    ) -> FloatTensor<Self> {
        match ConvolveBackward.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (x, weight) = (x.primitive().to_contiguous(), weight.primitive().to_contiguous());
                let y = Flex::convolve(x.clone(), weight.clone(), stride, arithmetic);
                prepared.finish((x, weight, stride, arithmetic), y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(Flex::convolve(x.into_primitive(), weight.into_primitive(), stride, arithmetic))
            }
        }
    }

    fn transpose(x: FloatTensor<Self>, weight: FloatTensor<Self>, arithmetic: Arithmetic) -> FloatTensor<Self> {
        match TransposeBackward.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (x, weight) = (x.primitive().to_contiguous(), weight.primitive().to_contiguous());
                let y = Flex::transpose(x.clone(), weight.clone(), arithmetic);
                prepared.finish((x, weight, arithmetic), y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(Flex::transpose(x.into_primitive(), weight.into_primitive(), arithmetic))
            }
        }
    }

    fn normalise(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        slope: f64,
        set: Instructions,
    ) -> FloatTensor<Self> {
        match NormaliseBackward.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [x, gamma, beta] = [x, gamma, beta].map(|t| t.primitive().to_contiguous());
                let norm = norm(&x, epsilon, slope, set);
                let (y, moments) = normalised(&x, &gamma, &beta, norm);
                prepared.finish((x, gamma, beta, moments, norm), y)
            }
            OpsKind::UnTracked(prepared) => {
                let [x, gamma, beta] = [x, gamma, beta].map(FloatTensor::<Self>::into_primitive);
                prepared.finish(Flex::normalise(x, gamma, beta, epsilon, slope, set))
            }
        }
    }
}
