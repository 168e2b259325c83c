//! The state of a course as the bytes of a safetensors file, so that it goes on after any interruption as if there had been
//! none.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::pupil::Pupil;
use super::{Course, Lesson, School};
use crate::fault::{Fault, Result};
use crate::nn::{self, decode, encode};

/// The key of the metadata under which the counts stand.
const KEY: &str = "course";

/// What is counted, not computed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    lessons: usize,
    steps: u32,
    pupils: Vec<PupilCounts>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PupilCounts {
    age: usize,
    lives: usize,
    steps: u32,
}

impl Course<'_> {
    /// The state behind the last lesson.
    ///
    /// # Errors
    /// If the format cannot hold it.
    pub fn save(&self) -> Result<Vec<u8>> {
        let fail = |error: safetensors::SafeTensorError| Fault::failed(format!("cannot write a course: {error}"));
        let lessons: Vec<f64> = self.lessons.iter().flat_map(|lesson| [lesson.cosine, lesson.task]).collect();
        let mut tensors = vec![
            ("loss".to_string(), Dtype::F64, bytes(self.loss.net().weights())),
            ("loss.first".to_string(), Dtype::F64, bytes(&self.adam.first)),
            ("loss.second".to_string(), Dtype::F64, bytes(&self.adam.second)),
            ("lessons".to_string(), Dtype::F64, bytes(&lessons)),
        ];
        for Pupil { place, network, adam, .. } in &self.pupils {
            tensors.push((format!("{place}.network"), Dtype::U8, encode(network)?));
            tensors.push((format!("{place}.first"), Dtype::F64, bytes(&adam.first)));
            tensors.push((format!("{place}.second"), Dtype::F64, bytes(&adam.second)));
        }
        let views = tensors.iter().map(|(name, kind, bytes)| {
            let length = bytes.len() / if *kind == Dtype::F64 { 8 } else { 1 };
            Ok((name.as_str(), TensorView::new(*kind, vec![length], bytes).map_err(fail)?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let pupil = |pupil: &Pupil| PupilCounts { age: pupil.age, lives: pupil.lives, steps: pupil.adam.steps };
        let counts = Counts {
            lessons: self.lessons.len(),
            steps: self.adam.steps,
            pupils: self.pupils.iter().map(pupil).collect(),
        };
        let counts = serde_json::to_string(&counts).map_err(|error| Fault::failed(error.to_string()))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), counts)]))).map_err(fail)
    }

    /// Takes the state that was saved.
    ///
    /// # Errors
    /// If the bytes are not the state of a course of this school.
    pub fn load<'a>(school: &'a School<'a>, saved: &[u8]) -> Result<Course<'a>> {
        let broken = |found: String| {
            Fault::new("not the state of this learning")
                .expected("what `lossgen learn` saved with these settings")
                .found(found)
                .hint("the file is damaged or of another run; remove it, and all lessons are given again")
        };
        let (_, metadata) = SafeTensors::read_metadata(saved).map_err(|error| broken(error.to_string()))?;
        let counts = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
        let counts = counts.ok_or_else(|| broken(format!("no metadata `{KEY}`")))?;
        let counts: Counts = serde_json::from_str(counts).map_err(|error| broken(error.to_string()))?;
        let file = SafeTensors::deserialize(saved).map_err(|error| broken(error.to_string()))?;
        let numbers = |name: &str, length: usize| -> Result<Vec<f64>> {
            let view = file.tensor(name).map_err(|_| broken(format!("no tensor `{name}`")))?;
            if view.dtype() != Dtype::F64 || view.shape() != [length] {
                return Err(broken(format!("`{name}` of shape {:?}", view.shape())));
            }
            let (words, _) = view.data().as_chunks::<8>();
            Ok(words.iter().map(|word| f64::from_le_bytes(*word)).collect())
        };

        let mut course = Course::begin(school);
        let size = course.loss.net().weights().len();
        if counts.pupils.len() != course.pupils.len() || counts.lessons > school.config.lessons {
            return Err(broken(format!("{} networks, {} lessons", counts.pupils.len(), counts.lessons)));
        }
        course.loss.weights_mut().copy_from_slice(&numbers("loss", size)?);
        course.adam =
            Adam { steps: counts.steps, first: numbers("loss.first", size)?, second: numbers("loss.second", size)? };
        let lessons = numbers("lessons", 2 * counts.lessons)?;
        let (lessons, _) = lessons.as_chunks::<2>();
        let lesson = |(number, [cosine, task]): (usize, &[f64; 2])| Lesson { number, cosine: *cosine, task: *task };
        course.lessons = lessons.iter().enumerate().map(lesson).collect();
        let size = school.network.parameters();
        for (pupil, counts) in course.pupils.iter_mut().zip(counts.pupils) {
            let place = pupil.place;
            let name = format!("{place}.network");
            let view = file.tensor(&name).map_err(|_| broken(format!("no tensor `{name}`")))?;
            let network = decode(view.data(), &nn::device().autodiff())?;
            if network.config() != school.network {
                return Err(broken(format!("networks of {:?}", network.config())));
            }
            let (first, second) =
                (numbers(&format!("{place}.first"), size)?, numbers(&format!("{place}.second"), size)?);
            let adam = Adam { steps: counts.steps, first, second };
            *pupil = Pupil { place, age: counts.age, lives: counts.lives, network, adam };
        }
        Ok(course)
    }
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
