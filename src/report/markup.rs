//! For tests: whether text is well-formed markup, and whether a picture keeps to its page.

use super::svg::width_of;

/// One tag: its name and its attributes; the name begins with `/` where it closes.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// Name.
    pub(super) name: &'a str,
    /// Names and values.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
    /// The text behind it, up to the next tag.
    pub(super) text: &'a str,
}

impl Tag<'_> {
    /// The value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} of {self:?}"))
    }
}

/// All tags of a document.
///
/// # Panics
/// If the text is not well-formed: tags that do not close, attributes without quotes, `&` without an entity.
pub(super) fn tags(text: &str) -> Vec<Tag<'_>> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for part in text.split('<').skip(1) {
        let (inside, behind) = part.split_once('>').unwrap_or_else(|| panic!("`<{part}` does not end"));
        for piece in behind.split('&').skip(1) {
            let entity = piece.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&entity), "`&{piece}` is no entity");
        }
        if inside.starts_with('!') {
            continue;
        }
        let whole = inside.trim_end_matches('/');
        let (name, mut rest) = whole.split_once([' ', '\n']).unwrap_or((whole, ""));
        let mut attributes = Vec::new();
        while let Some((name, value)) = rest.trim_start().split_once("=\"") {
            let (value, behind) = value.split_once('"').unwrap_or_else(|| panic!("`{inside}` has an open quote"));
            assert!(behind.is_empty() || behind.starts_with([' ', '\n']), "attributes of `{inside}` touch");
            attributes.push((name, value));
            rest = behind;
        }
        assert!(rest.trim().is_empty(), "`{inside}` has an attribute without a value");
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "tags of the text cross");
        } else if !inside.ends_with('/') {
            open.push(name);
        }
        found.push(Tag { name, attributes, text: behind });
    }
    assert!(open.is_empty(), "{open:?} do not close");
    found
}

/// Tests that an SVG is well-formed and that all of it lies on its page, also texts in a common font.
///
/// # Panics
/// If not.
pub(super) fn check(svg: &str) {
    let tags = tags(svg);
    for (name, value) in tags.iter().flat_map(|tag| &tag.attributes) {
        assert!(!value.contains("NaN") && !value.contains("inf"), "{name} is no number: {value}");
    }
    let page = [tags[0].number("width"), tags[0].number("height")];
    let within = |[x, y]: [f64; 2], tag: &Tag| {
        let inside = (-0.5..=page[0] + 0.5).contains(&x) && (-0.5..=page[1] + 0.5).contains(&y);
        assert!(inside, "({x}, {y}) of {tag:?} is not on the page of {page:?}");
    };
    for tag in &tags {
        match tag.name {
            "rect" if tag.get("x").is_some() => {
                let ([x, y], [w, h]) = (["x", "y"].map(|n| tag.number(n)), ["width", "height"].map(|n| tag.number(n)));
                within([x, y], tag);
                within([x + w, y + h], tag);
            }
            "text" => {
                // Fonts without serifs are narrower than what room is left for.
                let letters =
                    ["&amp;", "&lt;", "&gt;", "&quot;"].iter().fold(tag.text.to_string(), |t, e| t.replace(e, "&"));
                let wide = width_of(&letters, tag.number("font-size")) / 0.6 * 0.52;
                let x = tag.number("x")
                    - match tag.get("text-anchor") {
                        Some("middle") => wide / 2.0,
                        Some(_) => wide,
                        None => 0.0,
                    };
                within([x, tag.number("y")], tag);
                within([x + wide, tag.number("y")], tag);
            }
            "path" if tag.get("transform").is_none() => {
                let path = tag.get("d").unwrap().replace("h0", "");
                for point in path.split(['M', 'L']).filter(|point| !point.is_empty()) {
                    let (x, y) = point.split_once(' ').unwrap();
                    within([x, y].map(|number| number.parse().unwrap()), tag);
                }
            }
            _ => {}
        }
    }
}

/// How often `mark` stands in the paths of an SVG.
pub(super) fn marks(svg: &str, mark: &str) -> usize {
    tags(svg).iter().filter_map(|tag| tag.get("d")).map(|path| path.matches(mark).count()).sum()
}

#[test]
#[should_panic(expected = "cross")]
fn crossed_tags_are_seen() {
    tags("<a><b></a></b>");
}

#[test]
#[should_panic(expected = "no entity")]
fn bare_ampersands_are_seen() {
    tags("<a>x & y</a>");
}

#[test]
#[should_panic(expected = "is not on the page")]
fn what_leaves_the_page_is_seen() {
    check("<svg width=\"10\" height=\"10\"><path d=\"M1 1L12 3\"/></svg>");
}
