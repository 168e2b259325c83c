//! Arrays of NumPy (`.npy`): how logits and targets come from other programs, and gradients go back.
//!
//! Any real number type is read, in either order of axes, and becomes `f64` in C order. Archives (`.npz`) and structured
//! types are not read.

use std::path::Path;

use npyz::{AutoSerialize, NpyFile, Order, Serialize, WriteOptions, WriterBuilder};

use crate::fault::{Fault, Result};

/// Numbers in a grid; the last axis is contiguous.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f64>,
}

/// Reads the array in a file.
///
/// # Errors
/// If the file cannot be read, is no array of real numbers, or ends before its last number.
pub fn read(path: &Path) -> Result<Array> {
    let bytes = std::fs::read(path).map_err(|error| Fault::io("read", path, &error))?;
    let broken = |why: String| {
        Fault::new("not an array of numbers")
            .file(path)
            .expected("a `.npy` file of numbers, written by `numpy.save`")
            .found(why)
    };
    let file = NpyFile::new(&bytes[..]).map_err(|error| broken(error.to_string()))?;
    let shape: Vec<usize> = file.shape().iter().map(|n| *n as usize).collect();
    let count = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    // A count that the file cannot hold is refused before anything is allocated for it.
    let count = count.filter(|count| *count <= bytes.len()).ok_or_else(|| broken(format!("shape {shape:?}")))?;
    let order = file.order();
    let values = numbers(file).map_err(&broken)?;
    if values.len() != count {
        return Err(broken(format!("{} of {count} numbers", values.len())));
    }
    let values = if order == Order::Fortran { to_c_order(&values, &shape) } else { values };
    Ok(Array { shape, values })
}

/// The bytes of a file that holds an array.
///
/// # Errors
/// If there are not as many values as the shape says.
pub fn encode<T: AutoSerialize + Serialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
    let mut bytes = Vec::new();
    let mut write = || -> std::io::Result<()> {
        let mut writer = WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    };
    write().map_err(|error| Fault::failed(format!("cannot encode an array: {error}")))?;
    Ok(bytes)
}

/// All numbers, in the order of the file.
fn numbers(file: NpyFile<&[u8]>) -> std::result::Result<Vec<f64>, String> {
    macro_rules! try_each {
        ($file:ident, $($number:ty => $into:expr),+) => {
            $(let $file = match $file.try_data::<$number>() {
                Ok(data) => {
                    let values: std::io::Result<Vec<f64>> = data.map(|value| value.map($into)).collect();
                    return values.map_err(|error| error.to_string());
                }
                Err(file) => file,
            };)+
        };
    }
    try_each!(file, f32 => f64::from, f64 => |v| v, u8 => f64::from, i8 => f64::from, u16 => f64::from, i16 => f64::from,
        u32 => f64::from, i32 => f64::from, u64 => |v| v as f64, i64 => |v| v as f64, bool => |v| f64::from(u8::from(v)));
    Err(format!("numbers of type {}", file.dtype().descr()))
}

/// From first axis contiguous to last axis contiguous.
fn to_c_order(values: &[f64], shape: &[usize]) -> Vec<f64> {
    (0..values.len())
        .map(|mut at| {
            let mut place = 0;
            for (axis, length) in shape.iter().enumerate().rev() {
                place += at % length * shape[..axis].iter().product::<usize>();
                at /= length;
            }
            values[place]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        (home, path)
    }

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{header:<117}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let values = [0.5f32, -1.0, 3.25, 4.0, 5.0, 1e-7];
        let (_home, path) = file(&encode(&[2, 1, 3], &values).unwrap());
        assert_eq!(read(&path).unwrap(), Array { shape: vec![2, 1, 3], values: values.map(f64::from).to_vec() });
    }

    #[test]
    fn other_types_and_orders_are_read() {
        let (_home, path) =
            file(&npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", &[1, 2, 3, 4, 5, 6]));
        assert_eq!(read(&path).unwrap().values, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        let (_home, path) = file(&npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", &[1, 0]));
        assert_eq!(read(&path).unwrap().values, [1.0, 0.0]);
        let (_home, path) = file(&npy("{'descr': '>i2', 'fortran_order': False, 'shape': (1,), }", &[1, 0]));
        assert_eq!(read(&path).unwrap().values, [256.0]);
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for bytes in [
            b"text".to_vec(),
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", &[0; 8]),
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }", &[0; 8]),
            npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]),
        ] {
            let (_home, path) = file(&bytes);
            assert!(read(&path).unwrap_err().to_string().contains("not an array"));
        }
    }
}
