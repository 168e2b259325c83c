//! A picture as SVG text: lines, boxes, text.
//!
//! Guards that the same numbers give the same bytes: coordinates have one decimal, nothing is numbered, dated or drawn by
//! chance. No scripts, no fonts inside (`sans-serif` is what the reader has), no style sheets, which several viewers
//! ignore. A crate for plots would bring its own fonts and a drawing model far larger than these elements.

use std::fmt::Write as _;

/// Colours that are told apart with any colour vision (Okabe and Ito 2008), without their yellow, which is lost on white.
pub const PALETTE: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The same colours, pale: what stands behind a line or inside a box.
pub const TINTS: [&str; 7] = ["#a6cee4", "#f0c7a6", "#a6ddce", "#edd0e0", "#f6dda6", "#c4e5f7", "#c4c4c4"];

/// Better, in every picture that judges: the first of the palette, which nobody takes for the second.
pub const GOOD: &str = PALETTE[0];
/// Worse, in every picture that judges.
pub const BAD: &str = PALETTE[1];

/// Dashes of lines; their number and that of the colours have no common divisor, so that pairs repeat late.
const DASHES: [&str; 4] = ["", "7 3", "2 2", "9 3 2 3"];

/// Lines that can be told apart.
pub const STYLES: usize = PALETTE.len() * DASHES.len();

/// Text.
pub const INK: &str = "#222222";
/// Text and lines that explain.
pub const FAINT: &str = "#666666";
/// Lines that guide the eye.
pub const GRID: &str = "#e4e4e4";

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// `#rrggbb`.
    pub colour: &'static str,
    /// In pixels.
    pub width: f64,
    /// Lengths of dashes and gaps; empty for a solid line.
    pub dash: &'static str,
}

impl Stroke {
    /// The line of the series with this number, from 0.
    pub const fn series(number: usize) -> Self {
        Self { colour: PALETTE[number % PALETTE.len()], width: 1.8, dash: DASHES[number % DASHES.len()] }
    }

    /// A thin solid line.
    pub const fn thin(colour: &'static str) -> Self {
        Self { colour, width: 1.0, dash: "" }
    }
}

/// What of a text stands at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// In pixels.
    pub size: f64,
    /// `#rrggbb`.
    pub colour: &'static str,
    /// Whether it is bold.
    pub bold: bool,
    /// Where it stands.
    pub anchor: Anchor,
}

/// A picture being drawn.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// A white page.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A text; the position is on its baseline.
    pub fn text(&mut self, [x, y]: [f64; 2], font: Font, text: &str) {
        let anchor = match font.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let bold = if font.bold { " font-weight=\"bold\"" } else { "" };
        let (x, y, size, colour) = (number(x), number(y), number(font.size), font.colour);
        let text = escape(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{bold}>{text}</text>"
        );
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, frame: Frame, fill: &str) {
        let [x, y, width, height] = [frame.x, frame.y, frame.width, frame.height].map(number);
        let _ =
            writeln!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>");
    }

    /// A straight line.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: Stroke) {
        self.lines(&[from, to], stroke);
    }

    /// A line through points.
    pub fn lines(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        let path: Vec<String> = points.iter().map(|[x, y]| format!("{} {}", number(*x), number(*y))).collect();
        if !path.is_empty() {
            let _ = writeln!(self.body, "<path d=\"M{}\"{}/>", path.join("L"), drawn(stroke));
        }
    }

    /// Filled circles, all in one path: a million bytes less than an element for each would take.
    pub fn dots(&mut self, middles: &[[f64; 2]], diameter: f64, colour: &str) {
        let path: String = middles.iter().map(|[x, y]| format!("M{} {}h0", number(*x), number(*y))).collect();
        if !path.is_empty() {
            let width = number(diameter);
            let _ = writeln!(
                self.body,
                "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linecap=\"round\"/>"
            );
        }
    }

    /// A path in a system of coordinates with its origin at the frame's corner and units of `unit` pixels.
    pub fn scaled(&mut self, frame: Frame, unit: f64, path: &str, paint: Paint<'_>) {
        let paint = match paint {
            Paint::Pixels(colour) => format!(" fill=\"none\" stroke=\"{colour}\" shape-rendering=\"crispEdges\""),
            Paint::Stroke(stroke) => format!("{} vector-effect=\"non-scaling-stroke\"", drawn(stroke)),
        };
        let [x, y] = [frame.x, frame.y].map(number);
        let _ = writeln!(self.body, "<path transform=\"translate({x} {y}) scale({unit:.3})\" d=\"{path}\"{paint}/>");
    }

    /// The file: `title` is what a screen reader says.
    pub fn finish(self, title: &str) -> String {
        let [width, height] = [self.width, self.height].map(number);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

/// How a path is painted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint<'a> {
    /// As wide as a unit, in this colour.
    Pixels(&'a str),
    /// As a line of pixels of the picture.
    Stroke(Stroke),
}

/// About how wide a text of ordinary letters is, in pixels: what fonts differ by fits into the margin.
pub fn width_of(text: &str, size: f64) -> f64 {
    0.6 * size * text.chars().count() as f64
}

/// The text, cut where it is wider than `width` pixels.
pub fn cut(text: &str, size: f64, width: f64) -> String {
    let room = (width / width_of("x", size)) as usize;
    if text.chars().count() <= room {
        return text.to_string();
    }
    text.chars().take(room.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

fn drawn(stroke: Stroke) -> String {
    let dash = if stroke.dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", stroke.dash) };
    format!(
        " fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}",
        stroke.colour,
        number(stroke.width)
    )
}

/// The text in at most two lines of `width` pixels, broken where a word or an argument ends if there is such a place,
/// and cut if that is not enough.
pub fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let room = (width / width_of("x", size)) as usize;
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= room {
        return vec![text.to_string()];
    }
    let last = |signs: &[char]| (room / 3..room).rev().find(|place| signs.contains(&letters[*place]));
    // After a space as near to the end as there is one, else after a sign, else anywhere.
    let end = last(&[' ', ',']).or_else(|| last(&['(', ')', '+', '*', '/', '·', '_', '-']));
    let end = end.map_or(room, |place| place + 1);
    let rest: String = letters[end..].iter().collect();
    vec![letters[..end].iter().collect::<String>().trim_end().to_string(), cut(rest.trim_start(), size, width)]
}

/// A tenth of a pixel is finer than any screen.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0").unwrap_or(&text) {
        "-0" => "0".to_string(),
        text => text.to_string(),
    }
}

/// Text as it may stand in an element or an attribute of XML and HTML.
pub fn escape(text: &str) -> String {
    // Control characters may not stand in XML, not even escaped.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        assert_eq!([1.0, 0.25, -0.04, 12.34].map(number), ["1", "0.2", "0", "12.3"]);
    }

    #[test]
    fn text_cannot_leave_its_element() {
        let mut svg = Svg::new(10.0, 10.0);
        let font = Font { size: 10.0, colour: INK, bold: false, anchor: Anchor::Start };
        svg.text([0.0, 0.0], font, "a<b> & \u{7}c");
        let text = svg.finish("</title><script>");
        assert!(text.contains(">a&lt;b&gt; &amp;  c</text>") && !text.contains("<script>"), "{text}");
    }

    #[test]
    fn lines_of_different_series_differ() {
        let styles: Vec<_> = (0..STYLES).map(|n| (Stroke::series(n).colour, Stroke::series(n).dash)).collect();
        for (i, style) in styles.iter().enumerate() {
            assert!(!styles[..i].contains(style), "series {i}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("dice", 10.0, 60.0), "dice");
        assert_eq!(cut("a very long formula", 10.0, 60.0), "a very lo…");
    }

    #[test]
    fn long_names_go_to_a_second_line_and_keep_their_end_if_it_fits() {
        let name = "tversky(fp_weight=0.3, fn_weight=0.7)";
        for width in [140.0, 160.0, 210.0] {
            assert_eq!(wrapped(name, 10.0, width), ["tversky(fp_weight=0.3,", "fn_weight=0.7)"]);
        }
        assert_eq!(wrapped("dice", 10.0, 140.0), ["dice"]);
        assert_eq!(wrapped(&"x".repeat(60), 10.0, 60.0), ["x".repeat(10), "x".repeat(9) + "…"]);
    }

    #[test]
    fn tints_are_pale_versions_of_the_palette() {
        let channels = |colour: &str| [1, 3, 5].map(|at| i32::from_str_radix(&colour[at..at + 2], 16).unwrap());
        for (tint, colour) in TINTS.iter().zip(PALETTE) {
            let (tint, colour) = (channels(tint), channels(colour));
            assert!((0..3).all(|n| tint[n] >= colour[n]) && tint.iter().sum::<i32>() > 500, "{tint:?} {colour:?}");
        }
    }
}
