//! Who descends from whom: individuals in columns by generation, lines from parents to children.
//!
//! A layered drawing after Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system
//! structures": columns are given (the generations), orders within them are found by medians of neighbours, heights by least
//! squares under the distances that boxes need. All lines of a parent share one track as far as they go together, so that a
//! parent of ten children is one line that branches and not ten. Nothing is drawn by chance.

use std::collections::BTreeMap;

use super::svg::{Anchor, FAINT, Font, Frame, INK, PALETTE, Paint, Stroke, Svg, cut};

const BOX: [f64; 2] = [216.0, 46.0];
/// From the right side of a column to the left side of the next: room for lines.
const GUTTER: f64 = 64.0;
const GAP: f64 = 12.0;
/// Height of a line that passes between boxes.
const TRACK: f64 = 7.0;
const MARGIN: f64 = 16.0;
/// Head: a line about the colours, a line of generations.
const HEAD: f64 = 50.0;
/// Sweeps to and fro; orders and heights hardly change after the first few.
const SWEEPS: usize = 12;

/// Somebody in the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Unique.
    pub id: u64,
    /// The column.
    pub generation: usize,
    /// Ids of parents; those that are not in the picture, or of no earlier generation, get no line.
    pub parents: Vec<u64>,
    /// What stands in the box, the first line bold; what is too long is cut.
    pub lines: [String; 3],
    /// What the box looks like.
    pub mark: Mark,
}

/// How somebody stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Not at all.
    Plain,
    /// On the Pareto front.
    Front,
    /// The one whose ancestors these are.
    Asked,
    /// Did not train.
    Failed,
}

/// Marks, the colours of their boxes, of the frames, and their meaning.
const MARKS: [(Mark, &str, &str, &str); 4] = [
    (Mark::Plain, "#ffffff", FAINT, ""),
    (Mark::Front, "#cfe8cf", FAINT, "on the Pareto front"),
    (Mark::Asked, "#ffe9b3", INK, "the one asked for"),
    (Mark::Failed, "#eeeeee", "#bbbbbb", "did not train"),
];

/// What takes a place in a column: a box, or the track of a parent that passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Box(usize),
    Track(usize),
}

impl Slot {
    fn height(self) -> f64 {
        match self {
            Self::Box(_) => BOX[1],
            Self::Track(_) => TRACK,
        }
    }
}

/// The picture; `title` stands above it.
pub fn picture(members: &[Member], title: &str) -> String {
    let tree = Tree::new(members);
    let columns = tree.order();
    let heights = tree.heights(&columns);
    let bottom = columns
        .iter()
        .zip(&heights)
        .flat_map(|(column, heights)| column.iter().zip(heights).map(|(slot, middle)| middle + slot.height() / 2.0));
    let (count, tall) = (columns.len() as f64, bottom.fold(0.0, f64::max));
    let width = (2.0 * MARGIN + count * BOX[0] + (count - 1.0).max(0.0) * GUTTER).max(720.0);
    let mut svg = Svg::new(width, HEAD + MARGIN + tall + MARGIN);
    head(&mut svg, members, title);
    let left = |column: usize| MARGIN + column as f64 * (BOX[0] + GUTTER);
    for (column, generation) in tree.generations.iter().enumerate() {
        let font = Font { size: 12.0, colour: FAINT, bold: false, anchor: Anchor::Middle };
        svg.text([left(column) + BOX[0] / 2.0, HEAD], font, &format!("generation {generation}"));
    }
    // Lines first: boxes lie on them.
    let place = |column: usize, row: usize| (left(column), HEAD + MARGIN + heights[column][row]);
    for column in 0..columns.len() {
        for (row, slot) in columns[column].iter().enumerate() {
            let (x, y) = place(column, row);
            let (Slot::Box(parent) | Slot::Track(parent)) = *slot;
            let stroke = Stroke { width: 1.4, ..Stroke::thin(PALETTE[tree.colour[parent]]) };
            if let Slot::Track(_) = slot {
                svg.line([x, y], [x + BOX[0], y], stroke);
            }
            for next in tree.next(column, parent, &columns) {
                let (to, end) = place(column + 1, next);
                let (from, half) = (x + BOX[0], GUTTER / 2.0);
                let path = format!("M{from:.1} {y:.1}C{0:.1} {y:.1} {0:.1} {end:.1} {to:.1} {end:.1}", from + half);
                let whole = Frame { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
                svg.scaled(whole, 1.0, &path, Paint::Stroke(stroke));
            }
        }
    }
    for (column, slots) in columns.iter().enumerate() {
        for (row, slot) in slots.iter().enumerate() {
            if let Slot::Box(number) = slot {
                draw(&mut svg, place(column, row), &members[*number]);
            }
        }
    }
    svg.finish(title)
}

fn head(svg: &mut Svg, members: &[Member], title: &str) {
    let font = Font { size: 14.0, colour: INK, bold: true, anchor: Anchor::Start };
    svg.text([MARGIN, 22.0], font, title);
    let mut x = MARGIN + 0.62 * 14.0 * title.chars().count() as f64 + 24.0;
    for (mark, fill, edge, meaning) in MARKS {
        if meaning.is_empty() || !members.iter().any(|member| member.mark == mark) {
            continue;
        }
        framed(svg, Frame { x, y: 11.0, width: 18.0, height: 12.0 }, fill, edge);
        svg.text([x + 24.0, 21.0], Font { size: 12.0, colour: FAINT, bold: false, anchor: Anchor::Start }, meaning);
        x += 44.0 + 0.6 * 12.0 * meaning.chars().count() as f64;
    }
}

fn draw(svg: &mut Svg, (x, middle): (f64, f64), member: &Member) {
    let (_, fill, edge, _) = MARKS.iter().find(|(mark, ..)| *mark == member.mark).expect("every mark is in the table");
    framed(svg, Frame { x, y: middle - BOX[1] / 2.0, width: BOX[0], height: BOX[1] }, fill, edge);
    for (number, line) in member.lines.iter().enumerate() {
        let size = if number == 0 { 11.0 } else { 10.0 };
        let font = Font { size, colour: INK, bold: number == 0, anchor: Anchor::Start };
        let baseline = middle - BOX[1] / 2.0 + 13.0 + 14.0 * number as f64;
        svg.text([x + 7.0, baseline], font, &cut(line, size, BOX[0] - 12.0));
    }
}

/// A rectangle with a frame of one pixel.
fn framed(svg: &mut Svg, frame: Frame, fill: &str, edge: &str) {
    svg.rectangle(frame, edge);
    let inner = Frame { x: frame.x + 1.0, y: frame.y + 1.0, width: frame.width - 2.0, height: frame.height - 2.0 };
    svg.rectangle(inner, fill);
}

/// The family by columns.
struct Tree {
    /// Generations that have members, in order.
    generations: Vec<usize>,
    /// The column of every member.
    column: Vec<usize>,
    /// Colours of lines: neighbours in a column have different ones, and so have most parents and children.
    colour: Vec<usize>,
    /// Children of every member in later columns.
    children: Vec<Vec<usize>>,
    /// Members by id.
    by_id: Vec<usize>,
}

impl Tree {
    fn new(members: &[Member]) -> Self {
        let mut by_id: Vec<usize> = (0..members.len()).collect();
        by_id.sort_by_key(|member| members[*member].id);
        let mut generations: Vec<usize> = members.iter().map(|member| member.generation).collect();
        generations.sort_unstable();
        generations.dedup();
        let column_of = |generation| generations.partition_point(|other| *other < generation);
        let column: Vec<usize> = members.iter().map(|member| column_of(member.generation)).collect();
        let number: BTreeMap<u64, usize> = by_id.iter().map(|member| (members[*member].id, *member)).collect();
        let mut children = vec![Vec::new(); members.len()];
        let mut filled = vec![0; generations.len()];
        let mut colour = vec![0; members.len()];
        for child in &by_id {
            colour[*child] = (filled[column[*child]] + 3 * column[*child]) % PALETTE.len();
            filled[column[*child]] += 1;
            let mut parents: Vec<usize> =
                members[*child].parents.iter().filter_map(|id| number.get(id).copied()).collect();
            parents.sort_unstable();
            parents.dedup();
            for parent in parents.into_iter().filter(|parent| column[*parent] < column[*child]) {
                children[parent].push(*child);
            }
        }
        Self { generations, column, colour, children, by_id }
    }

    /// The last column to which a member has a child; its own if it has none.
    fn reach(&self, member: usize) -> usize {
        self.children[member].iter().map(|child| self.column[*child]).max().unwrap_or(self.column[member])
    }

    /// The rows of the next column to which a line leads from the box or track of a member.
    fn next(&self, column: usize, member: usize, columns: &[Vec<Slot>]) -> Vec<usize> {
        let Some(next) = columns.get(column + 1) else { return Vec::new() };
        let leads = |slot: &Slot| match slot {
            Slot::Box(child) => self.children[member].contains(child),
            Slot::Track(other) => *other == member,
        };
        (0..next.len()).filter(|row| leads(&next[*row])).collect()
    }

    /// All columns, with few crossings of lines.
    fn order(&self) -> Vec<Vec<Slot>> {
        let mut columns = vec![Vec::new(); self.generations.len()];
        for member in &self.by_id {
            columns[self.column[*member]].push(Slot::Box(*member));
        }
        for member in &self.by_id {
            let (from, to) = (self.column[*member] + 1, self.reach(*member));
            let passed = columns.iter_mut().take(to).skip(from);
            passed.for_each(|column| column.push(Slot::Track(*member)));
        }
        let mut best = (self.crossings(&columns), columns.clone());
        for sweep in 0..SWEEPS {
            let forwards = sweep % 2 == 0;
            let count = columns.len();
            for step in 1..count {
                let (at, beside) = if forwards { (step, step - 1) } else { (count - 1 - step, count - step) };
                let keys = self.neighbours(&columns, at, beside);
                // Whoever has no neighbour there stays where it is.
                let key = |row: usize| median(&keys[row]).unwrap_or(row as f64);
                let mut rows: Vec<usize> = (0..columns[at].len()).collect();
                rows.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
                columns[at] = rows.into_iter().map(|row| columns[at][row]).collect();
            }
            let crossings = self.crossings(&columns);
            if crossings < best.0 {
                best = (crossings, columns.clone());
            }
        }
        best.1
    }

    /// For every row of a column, the rows of the column beside it to which lines lead, in ascending order.
    fn neighbours(&self, columns: &[Vec<Slot>], at: usize, beside: usize) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); columns[at].len()];
        let first = at.min(beside);
        for (row, slot) in columns[first].iter().enumerate() {
            let (Slot::Box(parent) | Slot::Track(parent)) = *slot;
            for next in self.next(first, parent, columns) {
                if first == at { found[row].push(next) } else { found[next].push(row) }
            }
        }
        found
    }

    fn crossings(&self, columns: &[Vec<Slot>]) -> usize {
        (1..columns.len()).map(|second| crossed(&self.neighbours(columns, second - 1, second))).sum()
    }

    /// Where the middles of all slots stand, from 0 downwards.
    fn heights(&self, columns: &[Vec<Slot>]) -> Vec<Vec<f64>> {
        let distances: Vec<Vec<f64>> = columns.iter().map(|column| distances(column)).collect();
        let mut heights: Vec<Vec<f64>> = distances.clone();
        for sweep in 0..SWEEPS {
            let forwards = sweep % 2 == 0;
            let count = columns.len();
            for step in 1..count {
                let (at, beside) = if forwards { (step, step - 1) } else { (count - 1 - step, count - step) };
                let wish = self.neighbours(columns, at, beside).into_iter().enumerate().map(|(row, ends)| {
                    let sum: f64 = ends.iter().map(|end| heights[beside][*end]).sum();
                    if ends.is_empty() { heights[at][row] } else { sum / ends.len() as f64 }
                });
                heights[at] = spread(&wish.collect::<Vec<_>>(), &distances[at]);
            }
        }
        let top = columns
            .iter()
            .zip(&heights)
            .filter_map(|(column, heights)| Some(heights.first()? - column.first()?.height() / 2.0));
        let top = top.fold(f64::INFINITY, f64::min);
        heights.iter().map(|heights| heights.iter().map(|height| height - top).collect()).collect()
    }
}

/// How many pairs of lines cross that lead from each row to the rows of its list.
fn crossed(ends: &[Vec<usize>]) -> usize {
    let lines: Vec<(usize, usize)> =
        ends.iter().enumerate().flat_map(|(row, ends)| ends.iter().map(move |end| (row, *end))).collect();
    let cross = |a: &(usize, usize), b: &(usize, usize)| a.0 < b.0 && a.1 > b.1;
    lines.iter().enumerate().map(|(at, line)| lines[at + 1..].iter().filter(|other| cross(line, other)).count()).sum()
}

/// Where slots stand that are packed as closely as they may be.
fn distances(column: &[Slot]) -> Vec<f64> {
    let mut below = 0.0;
    let middle = |slot: &Slot| {
        let middle = below + slot.height() / 2.0;
        below += slot.height() + GAP;
        middle
    };
    column.iter().map(middle).collect()
}

/// The places nearest to `wish` in least squares that are in order and as far apart as in `packed`: without the distances,
/// monotone regression, by pooling adjacent violators.
fn spread(wish: &[f64], packed: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wish, packed) in wish.iter().zip(packed) {
        let mut pool = (wish - packed, 1);
        while let Some((sum, count)) = pools.last().copied()
            && sum / count as f64 > pool.0 / pool.1 as f64
        {
            pools.pop();
            pool = (pool.0 + sum, pool.1 + count);
        }
        pools.push(pool);
    }
    let free = pools.iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    free.zip(packed).map(|(free, packed)| free + packed).collect()
}

/// The middle of values in order; none of none.
fn median(values: &[usize]) -> Option<f64> {
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, generation: usize, parents: &[u64]) -> Member {
        let lines = [format!("{id} point"), "+0.1".to_string(), "x".repeat(200)];
        Member { id, generation, parents: parents.to_vec(), lines, mark: Mark::Plain }
    }

    /// Thirty ancestors over ten generations, some of them old.
    fn family() -> Vec<Member> {
        let parents = |id: u64| match id {
            0..3 => Vec::new(),
            id if id % 4 == 0 => vec![id - 3, id % 3],
            id => vec![id - 3, id - 2 - id % 3],
        };
        (0..30).map(|id| member(id, id as usize / 3, &parents(id))).collect()
    }

    #[test]
    fn boxes_do_not_overlap_and_all_are_on_the_page() {
        let members = family();
        let tree = Tree::new(&members);
        let columns = tree.order();
        let heights = tree.heights(&columns);
        let boxes: usize = columns.iter().flatten().filter(|slot| matches!(slot, Slot::Box(_))).count();
        assert_eq!(boxes, members.len());
        assert!(columns.iter().flatten().any(|slot| matches!(slot, Slot::Track(_))), "an old parent has a track");
        for (column, heights) in columns.iter().zip(&heights) {
            assert!(heights[0] >= column[0].height() / 2.0 - 1e-9);
            for row in 1..column.len() {
                let least = f64::midpoint(column[row - 1].height(), column[row].height()) + GAP;
                assert!(heights[row] - heights[row - 1] >= least - 1e-9);
            }
        }
        let text = picture(&members, "family");
        assert!((0..30).all(|id| text.contains(&format!(">{id} point<"))) && text.contains(">generation 9<"));
        assert!(text.contains('…'), "long formulas are cut");
        let mut turned = members.clone();
        turned.reverse();
        let crossings = |members: &[Member]| Tree::new(members).crossings(&Tree::new(members).order());
        assert_eq!(crossings(&turned), crossings(&members), "the order of the list decides nothing");
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        // Ids ask for a crossing: the child of the first is the second.
        let members = [member(0, 0, &[]), member(1, 0, &[]), member(2, 1, &[1]), member(3, 1, &[0])];
        let tree = Tree::new(&members);
        assert_eq!(tree.crossings(&tree.order()), 0);
    }

    #[test]
    fn a_parent_of_many_is_one_track() {
        let members =
            [member(0, 0, &[]), member(1, 1, &[0]), member(2, 2, &[0]), member(3, 2, &[0]), member(4, 3, &[0])];
        let tracks = Tree::new(&members)
            .order()
            .iter()
            .map(|column| column.iter().filter(|slot| matches!(slot, Slot::Track(_))).count())
            .collect::<Vec<_>>();
        assert_eq!(tracks, [0, 1, 1, 0]);
    }

    #[test]
    fn strangers_and_parents_of_no_earlier_generation_get_no_line() {
        let members = [member(0, 3, &[9]), member(1, 3, &[0]), member(2, 3, &[2])];
        let text = picture(&members, "edited by hand");
        assert!(!text.contains("<path") && text.contains("generation 3"));
        assert!(picture(&[], "nobody").contains("nobody"));
    }

    #[test]
    fn wishes_are_kept_where_there_is_room() {
        assert_eq!(spread(&[0.0, 50.0], &[0.0, 10.0]), [0.0, 50.0]);
        // Both want the same place: each gives way by half.
        assert_eq!(spread(&[20.0, 20.0], &[0.0, 10.0]), [15.0, 25.0]);
    }
}
