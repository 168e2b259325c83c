//! The report as one HTML file.
//!
//! Guards that the file is whole: no scripts, no style sheets, fonts or pictures from elsewhere, so that it opens without a
//! network, today and in ten years, from a mail or from an archive. Text is escaped here; only what is called HTML is
//! taken as it is. It is also well-formed XML, so that other programs can take it apart. Drawings stay light where the
//! page is dark: their colours are chosen on white.

use super::svg::escape as escaped;

/// A report being written: sections in order, each with what was added to it.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    sections: Vec<Section>,
}

#[derive(Debug, Clone)]
struct Section {
    heading: String,
    html: String,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    html: String,
    is_best: bool,
    is_number: bool,
}

/// What the page looks like on screens of any width, and printed.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#222;--faint:#666;--ground:#fff;--line:#d8d8d8;--band:#f5f5f5;--link:#0064a0}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--faint:#a8a8a8;--ground:#16181b;--line:#3a3d42;--band:#1f2226;--link:#6cb6e8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.2rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
h1{font-size:1.7rem;line-height:1.2;margin:.4rem 0 1rem}
h2{font-size:1.3rem;margin:2.4rem 0 .6rem;padding-top:.4rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p{max-width:46rem}
a{color:var(--link)}
nav ol{columns:2 16rem;padding-left:2rem;margin:0}
figure{margin:1rem 0 1.4rem}
figcaption,caption{color:var(--faint);font-size:.9rem;text-align:left;max-width:46rem;padding:.3rem 0}
.wide{overflow-x:auto;max-width:100%}
.drawing{background:#fff;border-radius:6px}
.drawing svg{display:block;min-width:38rem;max-width:100%;height:auto}
.drawing img{display:block;min-width:44rem;max-width:100%;height:auto;border-radius:6px}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .55rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{white-space:nowrap;border-bottom-width:2px}
td.number,th.number{text-align:right;white-space:nowrap}
tbody tr:nth-child(odd){background:var(--band)}
th:first-child,td:first-child{position:sticky;left:0;background:var(--ground)}
tbody tr:nth-child(odd) td:first-child{background:var(--band)}
tbody td:first-child{overflow-wrap:anywhere;min-width:min(13rem,38vw);max-width:24rem}
pre{background:var(--band);padding:.7rem;border-radius:6px;overflow-x:auto;font-size:.85rem;line-height:1.4}
code{font-size:.9em;overflow-wrap:anywhere}
details{margin:.6rem 0}
summary{cursor:pointer}
math{font-family:STIX Two Math,Cambria Math,Latin Modern Math,STIX Math,Libertinus Math,DejaVu Math TeX Gyre,math}
.formula{overflow-x:auto;padding:.4rem 0;font-size:1.1rem}
@media print{
:root{color-scheme:light;--ink:#000;--faint:#444;--ground:#fff;--line:#ccc;--band:#f5f5f5;--link:#000}
body{max-width:none;padding:0;font-size:10.5pt}
.drawing svg,.drawing img{min-width:0}
.wide{overflow:visible}
table{font-size:7.5pt}
th,td,td.number,th.number{padding:.15rem .25rem;white-space:normal}
tbody td:first-child{min-width:6rem}
th:first-child,td:first-child{position:static}
figure,tr,img,svg{break-inside:avoid}
h2,h3{break-after:avoid}
thead{display:table-header-group}
}
";

impl Page {
    /// A page without sections.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_string(), sections: Vec::new() }
    }

    /// Begins a section; what is added from now on stands in it. `html` may be empty.
    pub fn section(&mut self, heading: &str, html: &str) -> &mut Self {
        self.sections.push(Section { heading: heading.to_string(), html: html.to_string() });
        self
    }

    /// A smaller heading within the section.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        self.html(&format!("<h3>{}</h3>\n", escape(text)))
    }

    /// A paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.html(&format!("<p>{}</p>\n", escape(text)))
    }

    /// HTML as it is: well-formed, and nothing from elsewhere.
    pub fn html(&mut self, html: &str) -> &mut Self {
        if self.sections.is_empty() {
            self.section("", "");
        }
        let section = self.sections.last_mut().expect("a section was begun");
        section.html += html;
        self
    }

    /// A formula in `MathML`, which browsers set without scripts; one that is too wide is scrolled.
    pub fn formula(&mut self, mathml: &str) -> &mut Self {
        self.html(&format!("<div class=\"formula\">{mathml}</div>\n"))
    }

    /// A drawing of this program with a caption in plain text.
    pub fn figure(&mut self, caption: &str, svg: &str) -> &mut Self {
        // In HTML the namespace is known, and an address would look like one that is fetched.
        let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
        self.drawing(caption, &svg)
    }

    /// The bytes of a PNG file with a caption in plain text.
    pub fn picture(&mut self, caption: &str, png: &[u8]) -> &mut Self {
        let image = format!("<img alt=\"{}\" src=\"data:image/png;base64,{}\"/>", escape(caption), base64(png));
        self.drawing(caption, &image)
    }

    /// A table; columns whose cells are numbers are aligned at the right.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<Cell>>) -> &mut Self {
        let is_numeric = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.html.is_empty());
            cells.clone().next().is_some() && cells.into_iter().all(|cell| cell.is_number)
        };
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(head.len());
        let classes: Vec<&str> =
            (0..columns).map(|column| if is_numeric(column) { " class=\"number\"" } else { "" }).collect();
        let mut html = "<div class=\"wide\"><table>\n<thead><tr>".to_string();
        for (name, class) in head.iter().zip(&classes) {
            html += &format!("<th{class}>{}</th>", escape(name));
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in rows {
            html += "<tr>";
            for (cell, class) in row.into_iter().zip(&classes) {
                let text = if cell.is_best { format!("<strong>{}</strong>", cell.html) } else { cell.html };
                html += &format!("<td{class}>{text}</td>");
            }
            html += "</tr>\n";
        }
        self.html(&(html + "</tbody></table></div>\n"))
    }

    /// Something that few want to see, folded; `summary` is plain text, `html` as it is.
    pub fn details(&mut self, summary: &str, html: &str) -> &mut Self {
        self.html(&format!("<details><summary>{}</summary>\n{html}</details>\n", escape(summary)))
    }

    /// The file.
    pub fn render(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        );
        let headed = || self.sections.iter().enumerate().filter(|(_, section)| !section.heading.is_empty());
        if headed().count() > 1 {
            html += "<nav aria-label=\"contents\"><ol>\n";
            for (number, section) in headed() {
                html += &format!("<li><a href=\"#{}\">{}</a></li>\n", self.anchor(number), escape(&section.heading));
            }
            html += "</ol></nav>\n";
        }
        for (number, section) in self.sections.iter().enumerate() {
            if section.heading.is_empty() {
                html += &section.html;
            } else {
                let (anchor, heading) = (self.anchor(number), escape(&section.heading));
                html += &format!("<section id=\"{anchor}\">\n<h2>{heading}</h2>\n{}</section>\n", section.html);
            }
        }
        html + "</body>\n</html>\n"
    }

    fn drawing(&mut self, caption: &str, html: &str) -> &mut Self {
        let caption = escape(caption);
        self.html(&format!(
            "<figure><div class=\"wide drawing\">{html}</div><figcaption>{caption}</figcaption></figure>\n"
        ))
    }

    /// The name of a section in links: its words, and its number where an earlier section has the same.
    fn anchor(&self, number: usize) -> String {
        let own = slug(&self.sections[number].heading);
        let is_taken = self.sections[..number].iter().any(|section| slug(&section.heading) == own);
        if is_taken { format!("{own}-{}", number + 1) } else { own }
    }
}

impl Cell {
    /// The best of its column.
    pub fn best(text: &str) -> Self {
        Self { is_best: true, ..Self::from(text) }
    }

    /// HTML as it is, for example a formula.
    pub fn html(html: &str) -> Self {
        Self { html: html.to_string(), is_best: false, is_number: false }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        let is_dash = matches!(text, "–" | "—" | "-" | "∞" | "n/a");
        let begins =
            text.trim_start_matches(['+', '-', '\u{2212}', '<', '(', ' ']).starts_with(|c: char| c.is_ascii_digit());
        // Numbers with their deviation, unit or sign, and no words beside them.
        let words = text.chars().filter(|c| c.is_alphabetic()).count();
        Self { html: escape(text), is_best: false, is_number: is_dash || (begins && words <= 3 && words <= digits) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// Text as it may stand in HTML, also in attributes.
pub fn escape(text: &str) -> String {
    escaped(text)
}

/// Lines as they are, in a font of equal widths.
pub fn preformatted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    format!("<pre>{}</pre>\n", lines.join("\n"))
}

fn slug(heading: &str) -> String {
    let letters: String =
        heading.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = letters.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "section".to_string() } else { words.join("-") }
}

/// RFC 4648. Twenty lines that never change, where a crate would be one more to keep.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let at = |n: usize| u32::from(part.get(n).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * n)) as usize & 63];
            text.push(if n <= part.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::tags;

    fn page() -> Page {
        let mut page = Page::new("Losses & <folds>");
        page.section("Results", "").paragraph("a < b").table(
            &["loss", "Dice", "note"],
            vec![
                vec![Cell::from("dice_ce"), Cell::best("0.871 ± 0.010"), Cell::from("first")],
                vec![Cell::from("<script>alert(1)</script>"), Cell::from("–"), Cell::from("12 cases failed")],
            ],
        );
        page.figure("Boxes", &crate::report::boxes::boxes("t", "u", &[("x".to_string(), vec![1.0, 2.0])]));
        page.section("Results", "<p>again</p>\n").picture("a \"case\"", b"\x89PNG");
        page.section("Environment", "").details("Manifest", &preformatted("a\n<b>"));
        page
    }

    #[test]
    fn a_page_is_whole_well_formed_and_escaped() {
        let html = page().render();
        let tags = tags(html.trim_start_matches("<!doctype html>"));
        for foreign in ["http:", "https:", "<script", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(tags.iter().all(|tag| !["script", "link", "iframe"].contains(&tag.name)));
        assert!(
            tags.iter().filter_map(|tag| tag.get("src")).all(|source| source.starts_with("data:image/png;base64,"))
        );
        assert!(html.contains("&lt;script&gt;alert(1)") && html.contains("<pre>a\n&lt;b&gt;</pre>"));
        assert_eq!(html, page().render());
    }

    #[test]
    fn every_entry_of_the_contents_leads_to_its_own_section() {
        let html = page().render();
        let tags = tags(&html);
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.get("id")).collect();
        let links: Vec<&str> = tags.iter().filter_map(|tag| tag.get("href")).map(|link| &link[1..]).collect();
        assert_eq!(ids, ["results", "results-2", "environment"]);
        assert_eq!(links, ids);
    }

    #[test]
    fn numbers_stand_at_the_right_and_the_best_is_bold() {
        let html = page().render();
        assert!(html.contains("<td class=\"number\"><strong>0.871 ± 0.010</strong></td>"), "{html}");
        assert!(html.contains("<td>12 cases failed</td>") && html.contains("<th class=\"number\">Dice</th>"));
        let is_number = |text: &str| Cell::from(text).is_number;
        assert!(["0.5", "−3.1 mm", "< 0.001", "12 (3 %)", "+0.1"].into_iter().all(is_number));
        assert!(!["dice", "3 of 4 cases", "", "tversky 0.3"].into_iter().any(is_number));
    }

    #[test]
    fn bytes_are_written_as_in_rfc_4648() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn text_before_the_first_section_has_no_heading() {
        let html = Page::new("t").paragraph("first").section("A", "").render();
        assert!(html.contains("<h1>t</h1>\n<p>first</p>\n<section id=\"a\">") && !html.contains("<nav"));
    }
}
