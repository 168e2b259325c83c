//! Which loss is better than which, as far as the data resolve it: the Holm-corrected significance map.
//!
//! Guards that a white cell is not read as equality: it says that the data allow no claim. A cell compares the loss of its
//! row with that of its column; colour is the direction, its depth the p-value after Holm's correction over all pairs
//! (Holm 1979; the map follows Wiesenfarth et al. 2021, challengeR). Losses are numbered, because names of formulas do
//! not fit above a column.

use super::boxes::short;
use super::svg::{Anchor, BAD, FAINT, Font, Frame, GOOD, INK, Stroke, Svg, cut, width_of, wrapped};

/// What is known of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// By how much the loss of the row is better than that of the column, on average: positive is better, whatever the
    /// direction of the metric.
    pub gain: f64,
    /// Two-sided p-value after Holm's correction.
    pub p: f64,
}

/// p-values below which a cell is coloured, and the colours of better and worse, from pale to full.
const DEPTHS: [(f64, &str, &str, &str); 3] = [
    (0.05, "p < 0.05", "#cfe4f1", "#f9e0cd"),
    (0.01, "p < 0.01", "#7fb8d8", "#eaae7f"),
    (0.001, "p < 0.001", GOOD, BAD),
];

const MARGIN: f64 = 14.0;
const ABOVE: f64 = 76.0;
const NAME: f64 = 12.0;
const WIDEST: f64 = 250.0;
/// Cells at most so many pixels wide, and all of them together.
const LARGEST: f64 = 58.0;
const ROOM: f64 = 560.0;
const SMALLEST: f64 = 20.0;
/// Cells at least so wide hold numbers.
const ROOMY: f64 = 44.0;
const SMALL: Font = Font { size: 11.0, colour: FAINT, bold: false, anchor: Anchor::Start };

/// One row and column per loss; `None` where nothing is compared, as on the diagonal.
pub fn map(title: &str, names: &[String], matrix: &[Vec<Option<Pair>>]) -> String {
    let numbered: Vec<String> = names.iter().enumerate().map(|(n, name)| format!("{}  {name}", n + 1)).collect();
    let widest = numbered.iter().map(|name| width_of(name, NAME)).fold(0.0, f64::max).clamp(WIDEST / 2.0, WIDEST);
    let side = (ROOM / names.len().max(1) as f64).clamp(SMALLEST, LARGEST);
    let left = MARGIN + widest + 10.0;
    let whole = side * names.len() as f64;
    let mut svg = Svg::new((left + whole + MARGIN).max(620.0), ABOVE + whole + 68.0);
    svg.text([MARGIN, 24.0], Font { size: 15.0, colour: INK, bold: true, ..SMALL }, title);
    svg.text(
        [MARGIN, 42.0],
        SMALL,
        "blue: the loss of the row is better than that of the column; orange: worse; white: not resolvable",
    );
    for (n, name) in numbered.iter().enumerate() {
        let middle = (n as f64 + 0.5) * side;
        let font = Font { anchor: Anchor::Middle, ..SMALL };
        svg.text([left + middle, ABOVE - 8.0], font, &(n + 1).to_string());
        draw_name(&mut svg, name, [MARGIN, ABOVE + middle], widest, side);
    }
    for (row, cells) in matrix.iter().enumerate() {
        for (column, pair) in cells.iter().enumerate() {
            let frame =
                Frame { x: left + side * column as f64, y: ABOVE + side * row as f64, width: side, height: side };
            draw_cell(&mut svg, frame, *pair);
        }
    }
    for n in 0..=names.len() {
        let at = side * n as f64;
        svg.line([left, ABOVE + at], [left + whole, ABOVE + at], Stroke::thin("#cccccc"));
        svg.line([left + at, ABOVE], [left + at, ABOVE + whole], Stroke::thin("#cccccc"));
    }
    draw_key(&mut svg, [MARGIN, ABOVE + whole + 22.0]);
    svg.finish(title)
}

fn draw_name(svg: &mut Svg, name: &str, [x, y]: [f64; 2], width: f64, side: f64) {
    // Two lines need more than a narrow row.
    let is_narrow = side < 26.0;
    let lines = if is_narrow { vec![cut(name, NAME, width)] } else { wrapped(name, NAME, width) };
    let size = if lines.len() > 1 || is_narrow { 10.5 } else { NAME };
    let first = y + 4.0 - 6.0 * (lines.len() as f64 - 1.0);
    for (number, line) in lines.iter().enumerate() {
        svg.text([x, first + 12.0 * number as f64], Font { size, colour: INK, ..SMALL }, line);
    }
}

fn draw_cell(svg: &mut Svg, frame: Frame, pair: Option<Pair>) {
    let Frame { x, y, width, height } = frame;
    let Some(pair) = pair else {
        svg.rectangle(frame, "#e2e2e2");
        return;
    };
    let depth = DEPTHS.iter().rfind(|(limit, ..)| pair.p < *limit && pair.gain.abs() > 0.0);
    let is_full = depth.is_some_and(|depth| depth.0 == DEPTHS[2].0);
    if let Some((_, _, better, worse)) = depth {
        svg.rectangle(frame, if pair.gain > 0.0 { better } else { worse });
    }
    let colour = if is_full { "#ffffff" } else { INK };
    let font = Font { size: 11.0, colour, bold: false, anchor: Anchor::Middle };
    if width >= ROOMY {
        let sign = if pair.gain > 0.0 { "+" } else { "" };
        svg.text([x + width / 2.0, y + height / 2.0 - 2.0], font, &format!("{sign}{}", short(pair.gain)));
        let font = Font { size: 9.5, colour: if is_full { "#ffffff" } else { FAINT }, ..font };
        svg.text([x + width / 2.0, y + height / 2.0 + 11.0], font, &p_value(pair.p));
    } else if depth.is_some() {
        let sign = if pair.gain > 0.0 { "+" } else { "\u{2212}" };
        svg.text([x + width / 2.0, y + height / 2.0 + 4.0], Font { bold: true, ..font }, sign);
    }
}

fn draw_key(svg: &mut Svg, [x, y]: [f64; 2]) {
    for (line, sign) in ["+ better", "\u{2212} worse"].into_iter().enumerate() {
        let y = y + 20.0 * line as f64;
        svg.text([x, y + 10.0], Font { colour: INK, ..SMALL }, sign);
        for (number, (_, words, better, worse)) in DEPTHS.iter().enumerate() {
            let x = x + 70.0 + 110.0 * number as f64;
            svg.rectangle(Frame { x, y, width: 18.0, height: 12.0 }, if line == 0 { better } else { worse });
            svg.text([x + 24.0, y + 10.0], SMALL, words);
        }
    }
    svg.text([x + 410.0, y + 10.0], SMALL, "p after Holm's correction");
}

fn p_value(p: f64) -> String {
    match p {
        p if p.is_nan() => "p ?".to_string(),
        p if p < 0.001 => "p < .001".to_string(),
        p if p > 0.995 => "p = 1".to_string(),
        p => format!("p {p:.3}").replace("0.", "."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::check;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|n| format!("loss {n}")).collect()
    }

    /// Each loss is better than the next ones, the more certainly the farther they are apart.
    fn matrix(n: usize) -> Vec<Vec<Option<Pair>>> {
        let pair = |row: usize, column: usize| {
            let apart = column as f64 - row as f64;
            (row != column).then(|| Pair { gain: 0.01 * apart, p: 0.3 * 0.05f64.powf(apart.abs() - 1.0) })
        };
        (0..n).map(|row| (0..n).map(|column| pair(row, column)).collect()).collect()
    }

    #[test]
    fn colours_say_direction_and_depth() {
        let text = map("Dice", &names(4), &matrix(4));
        check(&text);
        // Apart by 1: p 0.3, white; by 2: p 0.015; by 3: p 0.00075. And one of each in the key.
        for (_, _, better, worse) in [DEPTHS[0], DEPTHS[2]] {
            let expected = if better == GOOD { 1 } else { 2 };
            assert_eq!(text.matches(&format!("fill=\"{better}\"")).count(), expected + 1, "{better}");
            assert_eq!(text.matches(&format!("fill=\"{worse}\"")).count(), expected + 1, "{worse}");
        }
        assert_eq!(text.matches("p .300").count(), 6);
        assert_eq!(text.matches("fill=\"#e2e2e2\"").count(), 4);
    }

    #[test]
    fn many_losses_have_signs_and_few_have_numbers() {
        let many = map("Dice", &names(20), &matrix(20));
        check(&many);
        assert!(!many.contains("p .015") && many.contains(">+<"));
        for n in [0, 1, 2] {
            check(&map("Dice", &names(n), &matrix(n)));
        }
    }

    #[test]
    fn an_undefined_p_claims_nothing() {
        let cell = Some(Pair { gain: 0.1, p: f64::NAN });
        let text = map("t", &names(2), &[vec![None, cell], vec![cell, None]]);
        check(&text);
        assert_eq!(text.matches(&format!("fill=\"{}\"", DEPTHS[0].2)).count(), 1);
        assert!(text.contains("p ?"));
    }
}
