//! Losses in other programs: what is written compiles, and says what the evaluator says.
//!
//! Python files are compiled wherever there is a `python3`. They run where `LOSSGEN_PYTHON` names an interpreter that has
//! PyTorch; elsewhere that is skipped with a printed reason, because the wheels weigh gigabytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::{Tensor, TensorData};
use lossgen::export::{Export, Row, TARGETS};
use lossgen::formula::Formula;
use lossgen::formula::eval::{Activation, Inputs, gradient};
use lossgen::formula::plan::Plan;
use lossgen::formula::words::WORDS;
use lossgen::grammar::{BUILT_IN, BuiltIn};
use lossgen::losses::catalog::CATALOG;
use lossgen::losses::form::{Classes, Form};
use lossgen::losses::named_in;
use lossgen::nn;
use lossgen::rng::{Purpose, stream};
use rand::RngExt;

/// The files of `burn` exports beside this one, compiled as anybody would.
macro_rules! exported {
    ($($name:ident),*) => { $(
        #[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub)]
        mod $name {
            include!(concat!(stringify!($name), ".rs"));
        }
    )* };
}
exported!(dice_ce, distances, words, classes);

type Loss = fn(Tensor<5>, Tensor<5>, &[[f64; 3]], f64) -> Tensor<1>;

/// Losses that together have every word, as they are typed; those of a softmax have three classes.
#[rustfmt::skip]
const EXAMPLES: [(&str, &str, Activation, Loss); 4] = [
    ("dice_ce", "dice_ce", Activation::Sigmoid, dice_ce::dice_ce),
    ("distances", "(+ (mean (* signed_distance p)) (+ (mean (* signed_distance_mm p)) (mean (* (* abs_diff abs_diff) (+ (^ target_distance 2) (+ (^ predicted_distance 2) (+ target_distance_mm predicted_distance_mm)))))))", Activation::Sigmoid, distances::distances),
    ("words", "(+ (mean (max ce_fg (log1p ce_bg))) (+ (mean_top k=10 (abs (- (* y (log (+ 0.1 tp))) fp))) (+ (* (/ (log1p (max t 0.5)) (abs (- t 2))) (log (mean neg_log_p))) (+ (neg_log_ratio (mean tn) (mean_batch fn)) (^ (ratio (sum_batch tp) (* fp_weight=0.3 (sum neg_log_q))) (+ 0.5 (^ t 2)))))))", Activation::Sigmoid, words::words),
    ("classes", "(+ (/ (sum_classes 1 (* volume_weight (sum fp))) (* classes (sum_classes background=0 (* volume_weight (sum y))))) (mean_classes 0 (* (+ 0.5 (class 1)) (mean (+ abs_diff ce_fg)))))", Activation::Softmax, classes::classes),
];

fn row(name: &str) -> &'static Row {
    TARGETS.iter().find(|row| row.name == name).unwrap()
}

fn form(activation: Activation) -> Form {
    let classes = if activation == Activation::Softmax { Classes::Softmax(3) } else { Classes::Foreground };
    Form { classes, ..Form::default() }
}

fn written(row: &Row, title: &str, name: &str, formula: &Formula, activation: Activation) -> String {
    let classes = if activation == Activation::Softmax { 3 } else { 1 };
    Export { title, name, formula, activation, classes, scale: 1.0 }.write(row)
}

/// The loss of the example about trainings of one's own is what the program writes.
#[test]
fn the_discovered_loss_of_the_examples_is_an_export() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_training/discovered.rs");
    let text = "(+ (mean (* (^ abs_diff 0.8) (+ ce_fg ce_bg))) (ratio (sum tp) (+ (* 0.4 (sum fp)) (sum fn))))";
    let wanted = written(row("burn"), text, "discovered", &text.parse().unwrap(), Activation::Sigmoid);
    assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
}

#[test]
fn the_examples_have_every_word() {
    let texts = EXAMPLES.map(|(_, typed, activation, _)| named_in(typed, form(activation)).unwrap().formula);
    let used = |name: &str| texts.iter().flat_map(Formula::genes).any(|gene| gene.word.word().name == name);
    let missing: Vec<&str> =
        WORDS.iter().filter(|word| !word.is_constant() && !used(word.name)).map(|word| word.name).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Where they differ: `LOSSGEN_WRITE_EXPORTS=1 cargo test --release burn_files` writes them anew.
#[test]
fn burn_files_are_what_the_program_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export");
    for (name, typed, activation, _) in EXAMPLES {
        let formula = named_in(typed, form(activation)).unwrap().formula;
        let text = written(row("burn"), name, name, &formula, activation);
        let file = folder.join(format!("{name}.rs"));
        if std::env::var_os("LOSSGEN_WRITE_EXPORTS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        assert!(std::fs::read_to_string(&file).unwrap() == text, "{} is out of date", file.display());
    }
}

#[test]
fn losses_of_burn_say_what_the_evaluator_says() {
    const SHAPE: [usize; 3] = [4, 5, 6];
    let voxels: usize = SHAPE.iter().product();
    let spacing = [[3.0, 0.8, 0.5], [1.0; 3]];
    for (name, typed, activation, loss) in EXAMPLES {
        let classes = if activation == Activation::Softmax { 3 } else { 1 };
        let formula = named_in(typed, form(activation)).unwrap().formula;
        let mut rng = stream(5, Purpose::Probe, 0, 0);
        let logits: Vec<f32> = (0..2 * classes * voxels).map(|_| 6.0 * (rng.random::<f32>() - 0.5)).collect();
        let mut targets = vec![0f32; logits.len()];
        for place in 0..2 * voxels {
            let class = (place / 7) % (classes + usize::from(classes == 1));
            if class < classes {
                targets[(place / voxels * classes + class) * voxels + place % voxels] = 1.0;
            }
        }
        let inputs = Inputs {
            shape: SHAPE,
            spacing: &spacing,
            progress: 0.3,
            activation,
            background: classes > 1,
            ..Inputs::new(2, classes, &logits, &targets)
        };
        let mut exact = vec![0f32; logits.len()];
        let value = gradient(&Plan::new(&formula), &inputs, &mut exact);

        let device = nn::device().autodiff();
        let tensor = |values: &[f32]| {
            let shape = [2, classes, SHAPE[0], SHAPE[1], SHAPE[2]];
            Tensor::<5>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let z = tensor(&logits).require_grad();
        let found = loss(z.clone(), tensor(&targets), &spacing, 0.3);
        let slopes = nn::floats(z.grad(&found.backward()).unwrap());
        let found = f64::from(nn::floats(found)[0]);
        assert!((found - value).abs() <= 1e-5 * value.abs(), "{name}: {found} and {value}");
        let largest = exact.iter().fold(0f32, |largest, slope| largest.max(slope.abs()));
        let off = slopes.iter().zip(&exact).fold(0f32, |off, (a, b)| off.max((a - b).abs()));
        assert!(off <= 1e-4 * largest, "{name}: {off} of {largest}");
    }
}

/// Every loss of the catalog in every Python format, and random formulas of every grammar as modules of PyTorch.
fn python_files(folder: &Path, random: u64) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut write = |name: String, text: String| {
        let file = folder.join(format!("{name}.py"));
        std::fs::write(&file, text).unwrap();
        files.push(file);
    };
    for entry in CATALOG {
        for (activation, word) in [(Activation::Sigmoid, "sigmoid"), (Activation::Softmax, "softmax")] {
            let formula = entry.formula_in(&form(activation));
            for target in ["pytorch", "monai", "nnunet"] {
                let text = written(row(target), entry.name, entry.name, &formula, activation);
                write(format!("{}_{word}_{target}", entry.name), text);
            }
        }
    }
    let grammars: Vec<_> = BUILT_IN.iter().map(BuiltIn::grammar).collect();
    for slot in 0..random {
        // Without meaning, formulas leave what 32 bits can hold.
        let typed: Vec<_> = grammars.iter().filter(|grammar| grammar.name != "untyped").collect();
        let grammar = typed[slot as usize % typed.len()];
        let formula = grammar.sample_loss(20, &mut stream(6, Purpose::Birth, 0, slot));
        let activation = if slot % 2 == 0 { Activation::Sigmoid } else { Activation::Softmax };
        let text = written(row("pytorch"), "random", "random_loss", &formula, activation);
        write(format!("random_{slot:03}"), text);
    }
    files
}

#[test]
fn python_files_compile() {
    let home = tempfile::tempdir().unwrap();
    let files = python_files(home.path(), 20);
    let Ok(done) = Command::new("python3").args(["-m", "py_compile"]).args(&files).output() else {
        eprintln!("skipped: no `python3` to compile exported files with");
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs the test at the end of every file in one process, and says which of them failed.
const RUN_ALL: &str = "
import contextlib, io, runpy, sys, warnings
warnings.simplefilter('ignore')
failed = 0
for file in sys.argv[1:]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(file, run_name='__main__')
    except Exception as error:
        failed += 1
        print(file, type(error).__name__, error)
print(len(sys.argv) - 1 - failed, 'passed')
sys.exit(failed > 0)
";

#[test]
fn python_files_say_what_the_evaluator_says() {
    let Some(python) = std::env::var_os("LOSSGEN_PYTHON") else {
        eprintln!("skipped: LOSSGEN_PYTHON names no interpreter with PyTorch");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let files = python_files(home.path(), 200);
    let done = Command::new(python).args(["-c", RUN_ALL]).args(&files).output().unwrap();
    assert!(
        done.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn losses_keep_what_they_promise_and_take_their_place_in_monai_and_nnunet() {
    let Some(python) = std::env::var_os("LOSSGEN_PYTHON") else {
        eprintln!("skipped: LOSSGEN_PYTHON names no interpreter with PyTorch, MONAI and nnU-Net");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let [softmax, sigmoid] = [Activation::Softmax, Activation::Sigmoid];
    let files = [
        ("monai", "dice_ce", softmax),
        ("nnunet", "dice_ce", softmax),
        ("monai", "tversky", softmax),
        ("pytorch", "dice_ce", sigmoid),
    ];
    let files = files.map(|(target, name, activation)| {
        let formula = named_in(name, form(activation)).unwrap().formula;
        let file = home.path().join(format!("{target}_{name}.py"));
        std::fs::write(&file, written(row(target), name, name, &formula, activation)).unwrap();
        file
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/frameworks.py");
    let done = Command::new(python).arg(script).args(&files).output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
