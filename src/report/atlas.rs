//! The map of an atlas: every behaviour a dot, coloured by the size of its smallest loss, and known losses by name.
//!
//! Small losses lie on top of large ones, dots that would hide behind another are left out, and no name covers another
//! name or a known loss: a name for which there is no room beside its loss moves away, with a line that leads back.

use std::collections::BTreeSet;

use super::svg::{Anchor, FAINT, Font, Frame, GRID, INK, Stroke, Svg, width_of};

/// A behaviour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Where it stands.
    pub at: [f64; 2],
    /// Words of its smallest loss.
    pub size: usize,
}

/// A known loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Place<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands.
    pub at: [f64; 2],
    /// Whether one of the behaviours is its own.
    pub on_the_map: bool,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 760.0;
const PLOT: Frame = Frame { x: 48.0, y: 62.0, width: 880.0, height: 630.0 };
const DOT: f64 = 3.0;
const MARK: f64 = 9.0;
const SIZE: f64 = 12.0;

/// From small losses to large ones: one scale that fades evenly (a part of viridis), so that it survives any colour vision.
const SHADES: [&str; 7] = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#8ccb3f"];

const SMALL: Font = Font { size: 10.5, colour: FAINT, bold: false, anchor: Anchor::Start };

/// The picture. `shares` are those of all differences that either axis shows.
pub fn map(title: &str, dots: &[Dot], places: &[Place<'_>], shares: [f64; 2]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text([PLOT.x, 24.0], Font { size: 15.0, colour: INK, bold: true, anchor: Anchor::Start }, title);
    let explanation = "A dot is a way to push logits; what is near pushes alike. Known losses by name: \
                       filled if a loss of the map is the same, open if not.";
    svg.text([PLOT.x, 42.0], SMALL, explanation);
    let all: Vec<[f64; 2]> = dots.iter().map(|dot| dot.at).chain(places.iter().map(|place| place.at)).collect();
    let view = View::of(&all);
    frame(&mut svg, shares);
    let sizes: BTreeSet<usize> = dots.iter().map(|dot| dot.size).collect();
    let shade = |size: usize| {
        let rank = sizes.range(..size).count();
        SHADES[rank * (SHADES.len() - 1) / (sizes.len().max(2) - 1)]
    };
    // A dot on every pixel is enough.
    let mut taken: BTreeSet<[i64; 2]> = BTreeSet::new();
    let mut layers: Vec<(usize, Vec<[f64; 2]>)> = Vec::new();
    for size in &sizes {
        let of_size = dots.iter().filter(|dot| dot.size == *size).map(|dot| view.pixel(dot.at));
        layers.push((*size, of_size.filter(|at| taken.insert(at.map(|x| x.round() as i64))).collect()));
    }
    for (size, dots) in layers.iter().rev() {
        svg.dots(dots, DOT, shade(*size));
    }
    let marks: Vec<[f64; 2]> = places.iter().map(|place| view.pixel(place.at)).collect();
    let labels = labels(places, &marks);
    for ((place, mark), label) in places.iter().zip(&marks).zip(&labels) {
        if label.is_far(*mark) {
            svg.line(*mark, label.middle(), Stroke { width: 0.7, ..Stroke::thin(INK) });
        }
        svg.dots(&[*mark], MARK, INK);
        svg.dots(&[*mark], MARK - 3.0, if place.on_the_map { "#e69f00" } else { "#ffffff" });
    }
    for (place, label) in places.iter().zip(&labels) {
        let frame = Frame { x: label.x, y: label.y, width: label.width, height: label.height };
        svg.rectangle(frame, "#ffffff");
        let font = Font { size: SIZE, colour: INK, bold: false, anchor: Anchor::Start };
        svg.text([label.x + 2.0, label.y + SIZE - 0.5], font, place.name);
    }
    legend(&mut svg, &layers, shade);
    svg.finish(title)
}

fn frame(svg: &mut Svg, shares: [f64; 2]) {
    let Frame { x, y, width, height } = PLOT;
    let corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]];
    svg.lines(&corners, Stroke::thin(GRID));
    let percent = shares.map(|share| format!("{:.0} %", 100.0 * share));
    let text = format!(
        "across: {} of the differences between all gradients, upwards: {}; distances are true only as far as that",
        percent[0], percent[1]
    );
    svg.text([x, y + height + 17.0], SMALL, &text);
}

fn legend(svg: &mut Svg, layers: &[(usize, Vec<[f64; 2]>)], shade: impl Fn(usize) -> &'static str) {
    let mut x = PLOT.x;
    let y = PLOT.y + PLOT.height + 40.0;
    svg.text([x, y], SMALL, "words");
    x += 42.0;
    for (size, _) in layers {
        svg.dots(&[[x, y - 4.0]], MARK, shade(*size));
        svg.text([x + 8.0, y], SMALL, &size.to_string());
        x += 34.0;
    }
}

/// From places on the map to pixels, with the same scale along both axes: distances are what the map is about.
struct View {
    middle: [f64; 2],
    scale: f64,
}

impl View {
    fn of(places: &[[f64; 2]]) -> Self {
        let ends = [0, 1].map(|axis| {
            let along = places.iter().map(|at| at[axis]);
            along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
        });
        let room = [PLOT.width - 40.0, PLOT.height - 40.0];
        let fits = |axis: usize| room[axis] / (ends[axis].1 - ends[axis].0).max(1e-9);
        let middle = ends.map(|(low, high)| if low <= high { f64::midpoint(low, high) } else { 0.0 });
        Self { middle, scale: fits(0).min(fits(1)) }
    }

    fn pixel(&self, at: [f64; 2]) -> [f64; 2] {
        [
            PLOT.x + PLOT.width / 2.0 + self.scale * (at[0] - self.middle[0]),
            PLOT.y + PLOT.height / 2.0 - self.scale * (at[1] - self.middle[1]),
        ]
    }
}

/// The box of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Label {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Label {
    fn overlaps(&self, other: &Self) -> bool {
        let apart = |a: f64, wide_a: f64, b: f64, wide_b: f64| a + wide_a <= b || b + wide_b <= a;
        !apart(self.x, self.width, other.x, other.width) && !apart(self.y, self.height, other.y, other.height)
    }

    fn is_inside(&self) -> bool {
        self.x >= PLOT.x
            && self.y >= PLOT.y
            && self.x + self.width <= PLOT.x + PLOT.width
            && self.y + self.height <= PLOT.y + PLOT.height
    }

    fn middle(&self) -> [f64; 2] {
        [self.x + self.width / 2.0, self.y + self.height / 2.0]
    }

    fn is_far(&self, mark: [f64; 2]) -> bool {
        let nearest = [mark[0].clamp(self.x, self.x + self.width), mark[1].clamp(self.y, self.y + self.height)];
        (nearest[0] - mark[0]).hypot(nearest[1] - mark[1]) > MARK
    }
}

/// A place for every name: beside its mark if there is room, else on growing rings around it, where nothing else is. If
/// there is no such place at all, it stands to the right of its mark, over whatever is there.
fn labels(places: &[Place<'_>], marks: &[[f64; 2]]) -> Vec<Label> {
    let half = MARK / 2.0 + 1.0;
    let around =
        |mark: &[f64; 2]| Label { x: mark[0] - half, y: mark[1] - half, width: 2.0 * half, height: 2.0 * half };
    let obstacles: Vec<Label> = marks.iter().map(around).collect();
    let mut labels: Vec<Label> = Vec::new();
    for (place, [x, y]) in places.iter().zip(marks) {
        let (width, height) = (width_of(place.name, SIZE) + 4.0, SIZE + 3.0);
        let at = |middle: [f64; 2]| Label { x: middle[0] - width / 2.0, y: middle[1] - height / 2.0, width, height };
        let beside = half + width / 2.0 + 1.0;
        let near =
            [[*x + beside, *y], [*x - beside, *y], [*x, *y - half - height / 2.0], [*x, *y + half + height / 2.0]];
        let rings = (1..40).flat_map(|ring| {
            // Twelve directions, beginning to the right.
            const TURN: [[f64; 2]; 12] = [
                [1.0, 0.0],
                [0.87, -0.5],
                [0.87, 0.5],
                [0.5, -0.87],
                [0.5, 0.87],
                [0.0, -1.0],
                [0.0, 1.0],
                [-0.5, -0.87],
                [-0.5, 0.87],
                [-0.87, -0.5],
                [-0.87, 0.5],
                [-1.0, 0.0],
            ];
            let reach = 12.0 * f64::from(ring);
            TURN.map(|[across, up]| [*x + across * (width / 2.0 + reach), *y + up * (height + reach)])
        });
        let free = |label: &Label| label.is_inside() && !labels.iter().chain(&obstacles).any(|o| o.overlaps(label));
        let found = near.into_iter().chain(rings).map(at).find(free);
        labels.push(found.unwrap_or_else(|| at(near[0])));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Vec<Place<'static>> {
        let names = ["dice", "effectiveness", "generalised_dice", "tversky", "asymmetric", "iou", "focal_dice"];
        let at = |(number, name): (usize, &'static str)| Place {
            name,
            at: [0.001 * number as f64, 0.0005 * number as f64],
            on_the_map: number == 0,
        };
        names.into_iter().enumerate().map(at).collect()
    }

    #[test]
    fn names_of_a_crowd_do_not_touch() {
        let places = crowd();
        let marks: Vec<[f64; 2]> = (0..places.len()).map(|i| [300.0 + 2.0 * i as f64, 300.0]).collect();
        let labels = labels(&places, &marks);
        for (i, label) in labels.iter().enumerate() {
            assert!(label.is_inside(), "{label:?}");
            assert!(labels[..i].iter().all(|other| !other.overlaps(label)), "{label:?}");
        }
        assert!(labels.iter().zip(&marks).any(|(label, mark)| label.is_far(*mark)));
    }

    #[test]
    fn a_map_shows_every_size_and_name_and_each_pixel_once() {
        let dots: Vec<Dot> =
            (0..500).map(|i| Dot { at: [f64::from(i % 5), f64::from(i % 7)], size: 2 + i as usize % 3 }).collect();
        let text = map("Atlas", &dots, &crowd(), [0.5, 0.2]);
        assert!(text.matches("h0").count() < 35 + 3 + 2 * 7 + 1, "dots on top of each other");
        assert!(crowd().iter().all(|place| text.contains(&format!(">{}<", place.name))));
        assert!(text.contains("50 %") && !text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn a_map_of_nothing_is_still_one() {
        let text = map("Atlas", &[], &[], [0.0; 2]);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
