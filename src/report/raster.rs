//! A picture as pixels: what photographs and renderings are made of, with lines and words on them, and as a PNG file.
//!
//! Guards that the same pixels give the same bytes. Lines are drawn with their share of each pixel, so that they have no
//! steps; words are those of a bitmap font (Noto Sans Mono), because a font of outlines would bring a rasteriser along.
//! The only file that knows the crates of both.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::fault::{Fault, Result};

/// Red, green and blue, 0 to 255.
pub type Colour = [u8; 3];

/// Height of a line of text in pixels.
pub const LINE: usize = 16;

/// Pixels, three bytes each, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue.
    pub pixels: Vec<u8>,
}

impl Raster {
    /// All of one colour.
    pub fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: colour.repeat(width * height) }
    }

    /// The colour at column x and row y.
    pub fn at(&self, [x, y]: [usize; 2]) -> Colour {
        std::array::from_fn(|channel| self.pixels[(y * self.width + x) * 3 + channel])
    }

    /// Mixes `share` (0 to 1) of a colour into a pixel; nothing beyond the edges.
    pub fn blend(&mut self, [x, y]: [usize; 2], colour: Colour, share: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let from = (y * self.width + x) * 3;
        for (own, new) in self.pixels[from..from + 3].iter_mut().zip(colour) {
            *own = (f64::from(*own) + share * (f64::from(new) - f64::from(*own))).round() as u8;
        }
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], colour: Colour) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.blend([column, row], colour, 1.0);
            }
        }
    }

    /// Lines from point to point, each pixel mixed once, however many lines cross it.
    pub fn segments(&mut self, segments: &[[[f64; 2]; 2]], width: f64, colour: Colour) {
        let mut shares = vec![0.0_f64; self.width * self.height];
        for [from, to] in segments {
            let reach = width / 2.0 + 1.0;
            let range = |n: usize, size: usize| {
                let low = (from[n].min(to[n]) - reach).floor().clamp(0.0, size as f64) as usize;
                let high = (from[n].max(to[n]) + reach).ceil().clamp(0.0, size as f64) as usize;
                low..high
            };
            for y in range(1, self.height) {
                for x in range(0, self.width) {
                    let distance = distance([x as f64 + 0.5, y as f64 + 0.5], *from, *to);
                    let share = &mut shares[y * self.width + x];
                    *share = share.max((width / 2.0 + 0.5 - distance).clamp(0.0, 1.0));
                }
            }
        }
        for (index, share) in shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0) {
            self.blend([index % self.width, index / self.width], colour, share);
        }
    }

    /// One line of text with its upper left corner at (x, y); signs that the font lacks are left blank.
    pub fn text(&mut self, [x, y]: [usize; 2], text: &str, colour: Colour) {
        let wide = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
        for (number, sign) in text.chars().enumerate() {
            let Some(glyph) = get_raster(sign, FontWeight::Regular, RasterHeight::Size16) else { continue };
            for (index, share) in glyph.pixels().iter().enumerate() {
                let place = [x + number * wide + index % glyph.width(), y + index / glyph.width()];
                self.blend(place, colour, f64::from(*share) / 255.0);
            }
        }
    }

    /// Text that is read on any ground: with a dark rim.
    pub fn rimmed_text(&mut self, [x, y]: [usize; 2], text: &str, colour: Colour) {
        for [right, down] in [[0, 1], [1, 0], [2, 1], [1, 2], [0, 0], [2, 0], [0, 2], [2, 2]] {
            self.text([(x + right).saturating_sub(1), (y + down).saturating_sub(1)], text, [0; 3]);
        }
        self.text([x, y], text, colour);
    }

    /// Lays another picture over this one; what reaches beyond the edges is lost.
    pub fn paste(&mut self, other: &Self, [x, y]: [usize; 2]) {
        let wide = other.width.min(self.width.saturating_sub(x)) * 3;
        for (row, line) in other.pixels.chunks_exact(other.width.max(1) * 3).enumerate() {
            if y + row < self.height {
                let from = ((y + row) * self.width + x) * 3;
                self.pixels[from..from + wide].copy_from_slice(&line[..wide]);
            }
        }
    }

    /// Pictures in a row, their upper edges level.
    #[must_use]
    pub fn beside(panels: &[Self], gap: usize, ground: Colour) -> Self {
        let height = panels.iter().map(|panel| panel.height).max().unwrap_or(0);
        let width = panels.iter().map(|panel| panel.width).sum::<usize>() + gap * panels.len().saturating_sub(1);
        let mut whole = Self::new(width, height, ground);
        let mut left = 0;
        for panel in panels {
            whole.paste(panel, [left, 0]);
            left += panel.width + gap;
        }
        whole
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// If the picture is empty.
    pub fn png(&self) -> Result<Vec<u8>> {
        let failed = |error: png::EncodingError| Fault::failed(format!("cannot make a picture: {error}"));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }
}

/// How wide a text is, in pixels.
pub fn text_width(text: &str) -> usize {
    text.chars().count() * get_raster_width(FontWeight::Regular, RasterHeight::Size16)
}

/// From a point to the line between two others.
fn distance([x, y]: [f64; 2], [x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> f64 {
    let (along, up) = (x1 - x0, y1 - y0);
    let length = along * along + up * up;
    let share = if length > 0.0 { (((x - x0) * along + (y - y0) * up) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - x0 - share * along).hypot(y - y0 - share * up)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A PNG file as pixels again.
    pub(in crate::report) fn decoded(bytes: &[u8]) -> Raster {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        Raster { width: frame.width as usize, height: frame.height as usize, pixels }
    }

    #[test]
    fn a_png_reads_back_as_it_was_drawn() {
        let mut raster = Raster::new(40, 20, [10, 20, 30]);
        raster.text([2, 2], "A b", [255, 255, 255]);
        raster.segments(&[[[0.0, 0.0], [39.0, 19.0]]], 2.0, [200, 0, 0]);
        let bytes = raster.png().unwrap();
        assert_eq!(decoded(&bytes), raster);
        assert_eq!(bytes, raster.png().unwrap());
        assert!(Raster::new(0, 0, [0; 3]).png().is_err());
    }

    #[test]
    fn lines_cover_pixels_by_their_share_and_only_once() {
        let mut raster = Raster::new(8, 5, [0; 3]);
        let line = [[1.0, 2.0], [7.0, 2.0]];
        raster.segments(&[line, line], 1.0, [200; 3]);
        assert_eq!((raster.at([4, 1]), raster.at([4, 2]), raster.at([4, 4])), ([100; 3], [100; 3], [0; 3]));
        raster.segments(&[[[-50.0, -50.0], [50.0, 90.0]]], 1.0, [200; 3]);
    }

    #[test]
    fn text_is_seen_and_what_leaves_the_picture_is_cut() {
        let mut raster = Raster::new(30, 20, [0; 3]);
        raster.text([0, 2], "III", [255; 3]);
        assert!(raster.pixels.iter().filter(|v| **v > 200).count() > 30);
        let mut small = Raster::new(3, 3, [0; 3]);
        small.rimmed_text([0, 0], "WWWW", [255; 3]);
        small.paste(&raster, [2, 2]);
        small.rectangle([1, 1], [50, 50], [7; 3]);
        assert_eq!(small.at([2, 2]), [7; 3]);
        assert_eq!(text_width("mm"), 2 * text_width("m"));
    }
}
