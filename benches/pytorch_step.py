"""The counterpart of `lossgen bench step`: the same network, loss and optimiser in PyTorch.

The network is that of src/nn/unet3d.rs, the loss Dice + cross-entropy per sample, the step Adam after clipping the norm of
the gradient at 12. Patches are made up once: cutting them is not part of the comparison. With `--precision bf16` the forward
pass runs under autocast, with channels last unless `--layout` says otherwise: the fastest way PyTorch has.
"""

import torch
from torch import nn
from torch.nn import functional as F

import measure

SLOPE = 0.01
CLIP = 12.0
SMOOTH = 1e-5


class Block(nn.Module):
    """Convolution, instance norm, leaky ReLU."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.InstanceNorm3d(outputs, affine=True)

    def forward(self, x):
        return F.leaky_relu(self.norm(self.convolution(x)), SLOPE, inplace=True)


class UNet3d(nn.Module):
    """Strided convolutions down, transposed convolutions up, concatenated skips, one logit per class."""

    def __init__(self, width, levels):
        super().__init__()
        maps = [width << level for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Sequential(Block(1 if level == 0 else maps[level - 1], maps[level], 1 if level == 0 else 2),
                          Block(maps[level], maps[level]))
            for level in range(levels)
        )
        self.rise = nn.ModuleList(
            nn.ConvTranspose3d(maps[level + 1], maps[level], 2, 2) for level in reversed(range(levels - 1))
        )
        self.up = nn.ModuleList(
            nn.Sequential(Block(2 * maps[level], maps[level]), Block(maps[level], maps[level]))
            for level in reversed(range(levels - 1))
        )
        self.head = nn.Conv3d(width, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)

    def forward(self, x):
        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        skips.pop()
        for rise, level in zip(self.rise, self.up):
            x = level(torch.cat([rise(x), skips.pop()], 1))
        return self.head(x)

    def multiply_adds(self, x):
        """Multiplications of all convolutions for a batch, forward, layer by layer from the shapes that hooks see."""
        counts = []

        def count(layer, inputs, output):
            voxels = inputs[0][:, :1].numel() if isinstance(layer, nn.ConvTranspose3d) else output[:, :1].numel()
            counts.append(layer.weight.numel() * voxels)

        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d)]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        with torch.no_grad():
            self(x)
        for hook in hooks:
            hook.remove()
        return sum(counts)


def dice_ce(logits, target):
    """The loss `dice_ce` of the catalog."""
    p, axes = torch.sigmoid(logits), (2, 3, 4)
    overlap, total = (p * target).sum(axes), p.sum(axes) + target.sum(axes)
    dice = 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)
    return dice.mean() + F.binary_cross_entropy_with_logits(logits, target)


def main():
    parser = measure.arguments(__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=8, help="feature maps of the first level")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2, help="patches of a batch")
    parser.add_argument("--size", default="32,32,24", metavar="D,H,W", help="voxels of a patch")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32", help="bf16: autocast")
    parser.add_argument("--layout", choices=["first", "last"], help="where channels lie; last with bf16, else first")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager", help="compile: torch.compile")
    options = parser.parse_args()
    device = torch.device(options.device)
    size = [int(n) for n in options.size.split(",")]
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    network = UNet3d(options.width, options.levels).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    image = torch.randn(options.batch, 1, *size, device=device)
    target = (torch.rand(options.batch, 1, *size, device=device) < 0.1).float()
    if (options.layout or ("last" if options.precision == "bf16" else "first")) == "last":
        network, image = (thing.to(memory_format=torch.channels_last_3d) for thing in (network, image))
    # Forward, gradient by the input and gradient by the weights cost the same, as in `lossgen bench`.
    gflop = 3 * 2 * network.multiply_adds(image) / 1e9
    forward = torch.compile(network) if options.mode == "compile" else network
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")

    def work(parts):
        def lap(name):
            # A device works on while the program goes ahead.
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            parts.lap(name)

        optimizer.zero_grad()
        with autocast:
            logits = forward(image).float()
        lap("forward")
        loss = dice_ce(logits, target)
        loss.item()
        lap("loss")
        loss.backward()
        lap("backward")
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        lap("optimizer")
        parts.milliseconds["step"] = sum(parts.milliseconds.values())

    durations, _ = measure.measure(options, work)
    peak = measure.peak_rss_mib()
    results = {"parameters": sum(p.numel() for p in network.parameters()), "gflop": gflop}
    measure.report(
        "step", f"pytorch {torch.__version__}", options, durations, results,
        loss="dice_ce", width=options.width, levels=options.levels, batch=options.batch, size=size,
        precision=options.precision, device=options.device, mode=options.mode,
        **({} if peak is None else {"peak_rss_mib": peak}),
    )


if __name__ == "__main__":
    main()
