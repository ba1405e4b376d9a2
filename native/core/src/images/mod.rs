//! Frames as pictures to look at: thumbnails, contact sheets, comparison.
//!
//! PNG and JPEG are read as they are. OpenEXR holds linear light: it becomes sRGB, clamped to what a screen shows, with
//! the colour channels of a multilayer file found by name. Files are told apart by their content, not by their names.
//! Blocking; every file written appears whole or not at all.

mod decode;
mod labels;

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GenericImage, Rgba, RgbaImage};
use tokio_util::sync::CancellationToken;

use crate::{CoreError, Result};

pub use decode::image_size;

/// Behind the frames, and behind what is transparent in them.
const BACKGROUND: Rgba<u8> = Rgba([24, 24, 26, 255]);
/// Pixels between frames.
const GAP: u32 = 4;
/// Edge of the largest sheet; far beyond what a viewer opens, and well within memory.
const LARGEST_SHEET: u32 = 30_000;

/// Writes a PNG of at most `size` × `size` pixels, in the proportions of the image, over a dark ground where the image is
/// transparent. Smaller images are not enlarged.
///
/// # Errors
///
/// `Image` when the image cannot be read whole or the thumbnail cannot be written.
pub fn thumbnail(path: &Path, destination: &Path, size: u32) -> Result<()> {
    write_png(&small(path, check_size(size)?)?, destination)
}

/// Writes a PNG with all images in a grid of `columns`, row by row, each at most `thumbnail_size` pixels wide and high,
/// with thin gaps on a dark ground. `labels`, one per image, are written below the images.
///
/// # Errors
///
/// `Image` when there is no image or not one label per image, when an image cannot be read whole, or when the sheet is too
/// large or cannot be written; `Canceled` when the token says so.
pub fn contact_sheet(
    paths: &[PathBuf],
    destination: &Path,
    columns: u32,
    thumbnail_size: u32,
    labels: Option<&[String]>,
    token: &CancellationToken,
) -> Result<()> {
    if paths.is_empty() {
        return Err(CoreError::Image("A contact sheet needs at least one image, and none was given.".into()));
    }
    if let Some(labels) = labels.filter(|labels| labels.len() != paths.len()) {
        return Err(CoreError::Image(format!(
            "A contact sheet needs one label per image: there are {} labels and {} images.",
            labels.len(),
            paths.len()
        )));
    }
    if columns == 0 {
        return Err(CoreError::Image("A contact sheet needs at least one column, and columns is 0.".into()));
    }
    let size = check_size(thumbnail_size)?;
    let mut frames = Vec::with_capacity(paths.len());
    for path in paths {
        if token.is_cancelled() {
            return Err(CoreError::Canceled("The contact sheet was canceled.".into()));
        }
        frames.push(small(path, size)?);
    }
    let columns = columns.min(u32::try_from(frames.len()).unwrap_or(u32::MAX));
    let rows = u32::try_from(frames.len()).unwrap_or(u32::MAX).div_ceil(columns);
    let label = if labels.is_some() { labels::HEIGHT + GAP } else { 0 };
    let cell_width = frames.iter().map(RgbaImage::width).max().unwrap_or(1);
    let cell_height = frames.iter().map(RgbaImage::height).max().unwrap_or(1);
    let edge = |count: u32, cell: u32| (u64::from(cell) + u64::from(GAP)) * u64::from(count) + u64::from(GAP);
    let (width, height) = (edge(columns, cell_width), edge(rows, cell_height + label));
    let (Some(width), Some(height)) = (sheet_edge(width), sheet_edge(height)) else {
        return Err(CoreError::Image(format!(
            "A contact sheet of {width} × {height} pixels is too large (at most {LARGEST_SHEET} each way): \
             use fewer images, smaller thumbnails or another number of columns."
        )));
    };
    let mut sheet = RgbaImage::from_pixel(width, height, BACKGROUND);
    for (index, frame) in (0u32..).zip(&frames) {
        let (column, row) = (index % columns, index / columns);
        let left = GAP + column * (cell_width + GAP);
        let top = GAP + row * (cell_height + label + GAP);
        // Frames of other proportions sit in the middle of their cell.
        let (x, y) = (left + (cell_width - frame.width()) / 2, top + (cell_height - frame.height()) / 2);
        let placed = sheet.copy_from(frame, x, y);
        placed.map_err(|err| CoreError::Image(format!("Cannot lay out the contact sheet: {err}.")))?;
        if let Some(text) = labels.and_then(|labels| labels.get(index as usize)) {
            labels::draw(&mut sheet, text, left, top + cell_height + GAP, cell_width);
        }
    }
    write_png(&sheet, destination)
}

/// How much two images differ: the mean over all pixels and channels of the absolute difference, 0 (equal) to 1 (black
/// against white), as seen on a screen. Alpha counts when either image has it. Values of OpenEXR files beyond 1 count as 1.
///
/// # Errors
///
/// `Image` when an image cannot be read whole, or when the sizes differ.
pub fn mean_difference(a: &Path, b: &Path) -> Result<f64> {
    let (first, second) = (decode::read(a)?, decode::read(b)?);
    let (size, other) = ((first.width(), first.height()), (second.width(), second.height()));
    if size != other {
        return Err(CoreError::Image(format!(
            "Cannot compare images of different sizes: {} has {} × {} pixels, {} has {} × {}.",
            a.display(),
            size.0,
            size.1,
            b.display(),
            other.0,
            other.1
        )));
    }
    let alpha = first.color().has_alpha() || second.color().has_alpha();
    let (first, second) = (first.into_rgba16(), second.into_rgba16());
    let channels = if alpha { 4 } else { 3 };
    let mut sum = 0u64;
    for (a, b) in first.pixels().zip(second.pixels()) {
        for channel in 0..channels {
            sum += u64::from(a.0[channel].abs_diff(b.0[channel]));
        }
    }
    let values = u64::from(size.0) * u64::from(size.1) * channels as u64;
    #[expect(clippy::cast_precision_loss, reason = "a mean of 16-bit values")]
    Ok(if values == 0 { 0.0 } else { sum as f64 / values as f64 / f64::from(u16::MAX) })
}

fn sheet_edge(pixels: u64) -> Option<u32> {
    u32::try_from(pixels).ok().filter(|&pixels| pixels <= LARGEST_SHEET)
}

fn check_size(size: u32) -> Result<u32> {
    if (1..=8192).contains(&size) {
        return Ok(size);
    }
    Err(CoreError::Image(format!("A thumbnail of {size} pixels cannot be made: use 1 to 8192.")))
}

/// Reads an image, makes it small, and puts it on the dark ground.
fn small(path: &Path, size: u32) -> Result<RgbaImage> {
    let image = decode::read(path)?;
    let image = if image.width() > size || image.height() > size { image.thumbnail(size, size) } else { image };
    let mut pixels = image.into_rgba8();
    for pixel in pixels.pixels_mut() {
        let alpha = u16::from(pixel.0[3]);
        for channel in 0..3 {
            let over = u16::from(pixel.0[channel]) * alpha + u16::from(BACKGROUND.0[channel]) * (255 - alpha);
            pixel.0[channel] = u8::try_from(over / 255).unwrap_or(u8::MAX);
        }
        pixel.0[3] = 255;
    }
    Ok(pixels)
}

fn write_png(image: &RgbaImage, destination: &Path) -> Result<()> {
    let refuse = |err: &dyn std::fmt::Display| {
        CoreError::Image(format!(
            "Cannot write the image {}: {err}. Check that its folder exists, can be written, and has space.",
            destination.display()
        ))
    };
    let folder = destination.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".shotput-").suffix(".png");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Readable like any other file, not private like a temporary one; the umask applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(|err| refuse(&err))?;
    let mut writer = BufWriter::new(file.as_file_mut());
    let opaque = DynamicImage::ImageRgba8(image.clone()).into_rgb8();
    opaque.write_to(&mut writer, image::ImageFormat::Png).map_err(|err| refuse(&err))?;
    std::io::Write::flush(&mut writer).map_err(|err| refuse(&err))?;
    drop(writer);
    file.persist(destination).map_err(|err| refuse(&err.error))?;
    Ok(())
}
