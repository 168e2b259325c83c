//! Which line is which: samples of lines with names, in rows.

use super::svg::{Anchor, Font, INK, Stroke, Svg, cut, width_of};

const SIZE: f64 = 12.0;
const SAMPLE: f64 = 26.0;
const GAP: f64 = 18.0;
const ROW: f64 = 18.0;
/// Names wider than this, in pixels, are cut: they are formulas.
const WIDEST: f64 = 420.0;

/// Names in rows; the line of a name is that of its number.
pub struct Legend {
    /// For each name its number, its left edge, its row and the name as shown.
    entries: Vec<(usize, f64, usize, String)>,
}

impl Legend {
    /// Fits names into rows of `width` pixels.
    pub fn new(names: &[&str], width: f64) -> Self {
        let (mut x, mut row, mut entries) = (0.0, 0, Vec::new());
        for (number, name) in names.iter().enumerate() {
            let name = cut(name, SIZE, WIDEST.min(width - SAMPLE));
            let wide = SAMPLE + 6.0 + width_of(&name, SIZE);
            if x > 0.0 && x + wide > width {
                (x, row) = (0.0, row + 1);
            }
            entries.push((number, x, row, name));
            x += wide + GAP;
        }
        Self { entries }
    }

    /// Height in pixels.
    pub fn height(&self) -> f64 {
        self.entries.last().map_or(0.0, |(_, _, row, _)| (*row as f64 + 1.0) * ROW)
    }

    /// Draws it with its upper left corner at (x, y).
    pub fn draw(&self, svg: &mut Svg, [x, y]: [f64; 2]) {
        let font = Font { size: SIZE, colour: INK, bold: false, anchor: Anchor::Start };
        for (number, left, row, name) in &self.entries {
            let middle = y + *row as f64 * ROW + ROW / 2.0;
            svg.line([x + left, middle], [x + left + SAMPLE, middle], Stroke { width: 2.4, ..Stroke::series(*number) });
            svg.text([x + left + SAMPLE + 6.0, middle + 4.0], font, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_go_to_the_next_row() {
        let names = ["dice", "tversky(fp_weight=0.4, fn_weight=0.6)", "ce"];
        assert_eq!(Legend::new(&names, 1000.0).height(), ROW);
        assert_eq!(Legend::new(&names, 320.0).height(), 3.0 * ROW);
        assert_eq!(Legend::new(&[], 320.0).height(), 0.0);
    }
}
