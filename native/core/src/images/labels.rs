//! Text on contact sheets, in letters of 3 × 5 dots.

use image::{Rgba, RgbaImage};

/// Pixels of one dot.
const DOT: u32 = 2;
const COLOUR: Rgba<u8> = Rgba([200, 200, 204, 255]);

/// Height of a line in pixels.
pub(super) const HEIGHT: u32 = 5 * DOT;

/// Writes a line from (`left`, `top`), cut at `width`.
pub(super) fn draw(image: &mut RgbaImage, text: &str, left: u32, top: u32, width: u32) {
    let mut x = left;
    for letter in text.chars() {
        if x + 3 * DOT > left + width {
            return;
        }
        for (row, dots) in (0u32..).zip(rows(letter)) {
            for column in 0..3u32 {
                if dots & (4 >> column) != 0 {
                    fill(image, x + column * DOT, top + row * DOT);
                }
            }
        }
        x += 4 * DOT;
    }
}

fn fill(image: &mut RgbaImage, left: u32, top: u32) {
    for y in top..top + DOT {
        for x in left..left + DOT {
            if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
                *pixel = COLOUR;
            }
        }
    }
}

/// The five rows of a letter, three bits each; a box for letters that are not drawn.
fn rows(letter: char) -> [u16; 5] {
    // One octal digit is one row, from the top.
    let dots: u16 = match letter.to_ascii_uppercase() {
        ' ' => 0,
        '0' => 0o75557,
        '1' => 0o26227,
        '2' => 0o71747,
        '3' => 0o71717,
        '4' => 0o55711,
        '5' => 0o74717,
        '6' => 0o74757,
        '7' => 0o71122,
        '8' => 0o75757,
        '9' => 0o75717,
        'A' => 0o25755,
        'B' => 0o65656,
        'C' => 0o34443,
        'D' => 0o65556,
        'E' => 0o74647,
        'F' => 0o74644,
        'G' => 0o34553,
        'H' => 0o55755,
        'I' => 0o72227,
        'J' => 0o11152,
        'K' => 0o55655,
        'L' => 0o44447,
        'M' => 0o57755,
        'N' => 0o65555,
        'O' => 0o25552,
        'P' => 0o65644,
        'Q' => 0o25563,
        'R' => 0o65655,
        'S' => 0o34216,
        'T' => 0o72222,
        'U' => 0o55557,
        'V' => 0o55552,
        'W' => 0o55775,
        'X' => 0o55255,
        'Y' => 0o55222,
        'Z' => 0o71247,
        '.' => 0o00002,
        ',' => 0o00024,
        '-' => 0o00700,
        '_' => 0o00007,
        '/' => 0o11244,
        '\\' => 0o44211,
        ':' => 0o02020,
        '#' => 0o57575,
        '(' => 0o12221,
        ')' => 0o42224,
        '+' => 0o02720,
        '=' => 0o07070,
        '%' => 0o51245,
        '\'' => 0o22000,
        _ => 0o77777,
    };
    [dots >> 12 & 7, dots >> 9 & 7, dots >> 6 & 7, dots >> 3 & 7, dots & 7]
}
