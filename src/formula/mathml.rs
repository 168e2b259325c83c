//! LaTeX of formulas to `MathML`, which browsers set without scripts.
//!
//! Guards that a formula looks the same in a paper and on a page: the notation of a word stands once, as LaTeX in the table
//! of words, and is read here. Only what that table and its numbers use is understood; a test holds the two together, and
//! what is unknown is shown as it is written rather than lost.

use super::Formula;

impl Formula {
    /// The formula as a `MathML` element, to be shown on lines of its own.
    pub fn mathml(&self) -> String {
        format!("<math display=\"block\">{}</math>", from_latex(&self.latex()))
    }
}

/// Commands that are one letter or sign, and the element it stands in.
const SIGNS: [(&str, &str, &str); 12] = [
    ("alpha", "mi", "α"),
    ("beta", "mi", "β"),
    ("gamma", "mi", "γ"),
    ("phi", "mi", "φ"),
    ("varepsilon", "mi", "ε"),
    ("cdot", "mo", "·"),
    ("%", "mo", "%"),
    ("sum", "mo", "∑"),
    ("log", "mi", "log"),
    ("max", "mi", "max"),
    (",", "mspace", ""),
    ("textstyle", "", ""),
];

/// A row of `MathML` elements.
fn from_latex(latex: &str) -> String {
    let mut reader = Reader { rest: latex };
    let mut out = String::new();
    loop {
        out += &reader.row();
        // A closing bracket that nothing opened ends a row, but not the formula.
        let mut rest = reader.rest.chars();
        match rest.next() {
            None => return out,
            Some(sign) => {
                out += &operator(sign);
                reader.rest = rest.as_str();
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Elements up to a closing brace or bracket, or the end.
    fn row(&mut self) -> String {
        let mut row = String::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(['}', ')']) || self.rest.starts_with("\\right") {
                return row;
            }
            let atom = self.atom();
            row += &self.scripts(atom);
        }
    }

    /// An atom with what is below and above it.
    fn scripts(&mut self, atom: String) -> String {
        let (mut below, mut above) = (None, None);
        loop {
            if self.take("_") {
                below = Some(self.argument());
            } else if self.take("^") {
                above = Some(self.argument());
            } else {
                break;
            }
        }
        match (below, above) {
            (None, None) => atom,
            (Some(below), None) => format!("<msub>{atom}{below}</msub>"),
            (None, Some(above)) => format!("<msup>{atom}{above}</msup>"),
            (Some(below), Some(above)) => format!("<msubsup>{atom}{below}{above}</msubsup>"),
        }
    }

    /// One element.
    fn atom(&mut self) -> String {
        if self.take("\\") {
            return self.command();
        }
        if self.take("{") {
            return self.group();
        }
        if self.take("(") {
            let inside = self.row();
            self.take(")");
            return format!("<mrow><mo>(</mo>{inside}<mo>)</mo></mrow>");
        }
        if let Some((inside, rest)) = self.rest.strip_prefix('|').and_then(|rest| rest.split_once('|')) {
            self.rest = rest;
            let bar = |form| format!("<mo form=\"{form}\" stretchy=\"false\">|</mo>");
            return format!("<mrow>{}{}{}</mrow>", bar("prefix"), from_latex(inside), bar("postfix"));
        }
        let number = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest.len());
        if number > 0 {
            let (digits, rest) = self.rest.split_at(number);
            self.rest = rest;
            return format!("<mn>{digits}</mn>");
        }
        let sign = self.rest.chars().next().unwrap_or(' ');
        self.rest = &self.rest[sign.len_utf8()..];
        if sign.is_alphabetic() { format!("<mi>{sign}</mi>") } else { operator(sign) }
    }

    fn command(&mut self) -> String {
        let letters = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let (name, rest) = self.rest.split_at(letters.max(first));
        self.rest = if letters > 0 { rest.trim_start() } else { rest };
        match name {
            "frac" => format!("<mfrac>{}{}</mfrac>", self.argument(), self.argument()),
            "left" => self.fenced(),
            "mathrm" | "operatorname" => self.name(),
            name => match SIGNS.iter().find(|(known, ..)| *known == name) {
                Some((_, "mspace", _)) => "<mspace width=\"0.17em\"/>".to_string(),
                // The size of a sum within a line, which elsewhere is asked for by a style.
                Some((_, "", _)) => String::new(),
                Some((_, "mo", "∑")) => "<mo largeop=\"false\">∑</mo>".to_string(),
                Some((_, "mi", letters)) if letters.len() > 2 => {
                    // A function is set apart from what it is taken of, unless that has brackets.
                    let gap =
                        if self.rest.starts_with("\\left") || self.rest.starts_with('(') { "0" } else { "0.17em" };
                    format!("<mi>{letters}</mi><mspace width=\"{gap}\"/>")
                }
                Some((_, element, sign)) => format!("<{element}>{sign}</{element}>"),
                None => format!("<mtext>\\{}</mtext>", escape(name)),
            },
        }
    }

    /// An argument of a command or a script, as one element.
    fn argument(&mut self) -> String {
        self.rest = self.rest.trim_start();
        self.atom()
    }

    /// What stands up to the closing brace, as one element.
    fn group(&mut self) -> String {
        let inside = self.row();
        self.take("}");
        format!("<mrow>{inside}</mrow>")
    }

    /// What stands between `\left` and `\right`, with brackets that are as high as it.
    fn fenced(&mut self) -> String {
        let left = self.sign();
        let mut inside = self.row();
        // Brackets of the other kind within bars end a row early.
        while !self.rest.is_empty() && !self.take("\\right") {
            inside += &operator(self.sign());
            inside += &self.row();
        }
        let right = self.sign();
        format!("<mrow><mo stretchy=\"true\">{left}</mo>{inside}<mo stretchy=\"true\">{right}</mo></mrow>")
    }

    /// Letters that are a name: upright.
    fn name(&mut self) -> String {
        self.take("{");
        let end = self.rest.find('}').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.take("}");
        let upright = if name.chars().count() == 1 { " mathvariant=\"normal\"" } else { "" };
        format!("<mi{upright}>{}</mi>", escape(name))
    }

    fn sign(&mut self) -> char {
        let sign = self.rest.chars().next().unwrap_or(' ');
        self.rest = self.rest.get(sign.len_utf8()..).unwrap_or("");
        sign
    }

    fn take(&mut self, what: &str) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn operator(sign: char) -> String {
    match sign {
        '-' => "<mo>\u{2212}</mo>".to_string(),
        sign => format!("<mo>{}</mo>", escape(&sign.to_string())),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::words::WORDS;

    fn mathml(text: &str) -> String {
        text.parse::<Formula>().unwrap().mathml()
    }

    /// Tags close in the order in which they opened, and elements have the number of children that `MathML` asks for.
    fn check(mathml: &str) {
        let mut open: Vec<(&str, usize)> = Vec::new();
        for part in mathml.split('<').skip(1) {
            let (inside, text) = part.split_once('>').unwrap();
            let name = inside.split([' ', '/']).next().unwrap();
            if let Some(name) = inside.strip_prefix('/') {
                let (opened, children) = open.pop().unwrap();
                assert_eq!(opened, name, "{mathml}");
                let wanted = match name {
                    "mfrac" | "msub" | "msup" => 2,
                    "msubsup" => 3,
                    _ => children,
                };
                assert_eq!(children, wanted, "{name} in {mathml}");
            } else {
                if let Some((_, children)) = open.last_mut() {
                    *children += 1;
                }
                if !inside.ends_with('/') {
                    open.push((name, 0));
                }
            }
            let bare = |text: &str| !text.is_empty() && !matches!(open.last(), Some(("mi" | "mo" | "mn" | "mtext", _)));
            assert!(!bare(text), "`{text}` stands in no element: {mathml}");
        }
        assert!(open.is_empty(), "{mathml}");
    }

    #[test]
    fn every_word_of_the_language_is_read() {
        for word in WORDS.iter().skip(1) {
            let arguments = ["x", "y", "z"].iter().fold(word.notation.latex.to_string(), |text, argument| {
                let place = ["x", "y", "z"].iter().position(|own| own == argument).unwrap();
                ["{}", "[]", "<>"]
                    .iter()
                    .fold(text, |text, pair| text.replace(&format!("{}{place}{}", &pair[..1], &pair[1..]), argument))
            });
            let text = from_latex(&arguments);
            check(&format!("<math>{text}</math>"));
            assert!(!text.contains('\\') && !text.contains("mtext"), "{}: {text}", word.name);
        }
    }

    #[test]
    fn formulas_of_the_catalog_are_well_formed() {
        for entry in crate::losses::catalog::CATALOG {
            let text = entry.formula().mathml();
            check(&text);
            assert!(!text.contains('\\'), "{}: {text}", entry.name);
        }
    }

    #[test]
    fn fractions_powers_and_names_are_elements() {
        assert_eq!(
            mathml("(^ (ratio (mean tp) (mean fp)) 0.75)"),
            "<math display=\"block\"><msup><mrow><mo>(</mo><mfrac><mrow><mi>mean</mi><mrow><mo stretchy=\"true\">(</mo>\
             <mi>FP</mi><mo stretchy=\"true\">)</mo></mrow></mrow><mrow><mi>mean</mi><mrow><mo stretchy=\"true\">(</mo>\
             <mi>TP</mi><mo stretchy=\"true\">)</mo></mrow><mo>+</mo><mi>mean</mi><mrow><mo stretchy=\"true\">(</mo>\
             <mi>FP</mi><mo stretchy=\"true\">)</mo></mrow></mrow></mfrac><mo>)</mo></mrow><mrow><mn>0.75</mn></mrow>\
             </msup></math>"
        );
        assert!(mathml("(* -1e-7 (mean ce_fg))").contains("<mo>−</mo><mn>1</mn><mo>·</mo><msup><mn>10</mn>"));
        assert!(
            mathml("(mean signed_distance_mm)")
                .contains("<msubsup><mi>φ</mi><mi>y</mi><mrow><mi>mm</mi></mrow></msubsup>")
        );
    }

    #[test]
    fn what_is_unknown_is_shown_and_nothing_panics() {
        for latex in [r"\strange{x}", "x)", "}", r"\left(", r"\frac", "…", r"\", "^", r"\mathrm{a", "a & b < c"] {
            let text = from_latex(latex);
            assert!(!text.contains("& ") && text.matches('<').count() == text.matches('>').count(), "{latex}: {text}");
        }
        assert!(from_latex(r"\strange{x}").contains("\\strange"));
    }
}
