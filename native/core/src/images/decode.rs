//! Reading images whole, or not at all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use exr::prelude::{FlatImage, FlatSamples, MetaData, ReadChannels as _, ReadLayers as _};
use image::{DynamicImage, ImageBuffer, ImageReader};

use crate::{CoreError, Result};

const EXR: [u8; 4] = [0x76, 0x2f, 0x31, 0x01];
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];
const JPEG_SCAN: [u8; 2] = [0xff, 0xda];
const JPEG_END: [u8; 2] = [0xff, 0xd9];

/// Width and height in pixels, from the file's header.
///
/// # Errors
///
/// `Image` when the file cannot be read or is no PNG, JPEG or OpenEXR image.
pub fn image_size(path: &Path) -> Result<(u32, u32)> {
    let refuse = |err: &dyn std::fmt::Display| unreadable(path, err);
    if start(path)?.starts_with(&EXR) {
        let metadata = MetaData::read_from_file(path, false).map_err(|err| refuse(&err))?;
        let header = metadata.headers.first().ok_or_else(|| refuse(&"it has no layer"))?;
        return Ok((edge(header.layer_size.0), edge(header.layer_size.1)));
    }
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|err| refuse(&err))?;
    reader.into_dimensions().map_err(|err| refuse(&err))
}

/// An image as a screen shows it.
pub(super) fn read(path: &Path) -> Result<DynamicImage> {
    let refuse = |err: &dyn std::fmt::Display| unreadable(path, err);
    let start = start(path)?;
    if start.starts_with(&EXR) {
        return read_exr(path);
    }
    if start.starts_with(&JPEG) {
        // The decoder fills what is missing with grey. Markers do not occur inside compressed data, so a whole file ends
        // its last scan.
        let bytes = std::fs::read(path).map_err(|err| refuse(&err))?;
        let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
        if last(JPEG_END) < last(JPEG_SCAN) || last(JPEG_END).is_none() {
            return Err(refuse(&"the file ends too early"));
        }
        return image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).map_err(|err| refuse(&err));
    }
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|err| refuse(&err))?;
    reader.decode().map_err(|err| refuse(&err))
}

fn unreadable(path: &Path, err: &dyn std::fmt::Display) -> CoreError {
    CoreError::Image(format!(
        "Cannot read the image {}: {err}. It is damaged, incomplete, or no PNG, JPEG or OpenEXR file; render it again.",
        path.display()
    ))
}

fn start(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut bytes));
    read.map_err(|err| unreadable(path, &err))?;
    if bytes.is_empty() { Err(unreadable(path, &"the file is empty")) } else { Ok(bytes) }
}

fn edge(pixels: usize) -> u32 {
    u32::try_from(pixels).unwrap_or(u32::MAX)
}

fn read_exr(path: &Path) -> Result<DynamicImage> {
    let refuse = |err: &dyn std::fmt::Display| unreadable(path, err);
    let image: FlatImage = exr::prelude::read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .all_layers()
        .all_attributes()
        // Chunks are checked while they are read; `pedantic` would refuse files of common writers.
        .non_parallel()
        .from_file(path)
        .map_err(|err| refuse(&err))?;
    let best = image.layer_data.iter().filter_map(|layer| {
        let names: Vec<String> = layer.channel_data.list.iter().map(|channel| channel.name.to_string()).collect();
        colour(&names).map(|(rank, channels)| (rank, layer, channels))
    });
    let (_, layer, channels) =
        best.min_by_key(|(rank, ..)| *rank).ok_or_else(|| refuse(&"it has no colour channels"))?;
    let (width, height) = (layer.size.0, layer.size.1);
    let samples = |index: Option<usize>, missing: f32| -> Result<Vec<f32>> {
        let Some(index) = index else { return Ok(vec![missing; width * height]) };
        let data: &FlatSamples = &layer.channel_data.list[index].sample_data;
        let values: Vec<f32> = data.values_as_f32().collect();
        if values.len() == width * height { Ok(values) } else { Err(refuse(&"its colour channels are subsampled")) }
    };
    let [red, green, blue] = channels.colour.map(|index| samples(Some(index), 0.0));
    let (red, green, blue, alpha) = (red?, green?, blue?, samples(channels.alpha, 1.0)?);
    let mut pixels = Vec::with_capacity(width * height * 4);
    for index in 0..width * height {
        let alpha = alpha[index].clamp(0.0, 1.0);
        // OpenEXR colours are multiplied by alpha; those of the other formats are not.
        let straight = |value: f32| if alpha > 0.0 { value / alpha } else { 0.0 };
        pixels.extend([red[index], green[index], blue[index]].map(|value| to_u16(srgb(straight(value)))));
        pixels.push(to_u16(alpha));
    }
    let (width, height) = (edge(width), edge(height));
    let image =
        ImageBuffer::from_raw(width, height, pixels).ok_or_else(|| refuse(&"its size does not fit its data"))?;
    let image = DynamicImage::ImageRgba16(image);
    Ok(if channels.alpha.is_some() { image } else { DynamicImage::ImageRgb16(image.into_rgb16()) })
}

#[derive(Debug, PartialEq)]
struct Colour {
    colour: [usize; 3],
    alpha: Option<usize>,
}

/// The colour channels among names such as `R`, `ViewLayer.Combined.R` or `Y`, and how likely they are the picture itself
/// (0 is most).
fn colour(names: &[String]) -> Option<(u32, Colour)> {
    let find = |name: &str| names.iter().position(|found| found == name);
    let mut best: Option<(u32, Colour)> = None;
    for name in names {
        let (prefix, last) = name.rsplit_once('.').map_or(("", name.as_str()), |(prefix, last)| (prefix, last));
        let member = |letter: &str| if prefix.is_empty() { find(letter) } else { find(&format!("{prefix}.{letter}")) };
        let found = match last {
            "R" => member("G").zip(member("B")).zip(find(name)).map(|((green, blue), red)| [red, green, blue]),
            "Y" => find(name).map(|grey| [grey; 3]),
            _ => None,
        };
        let Some(colour) = found else { continue };
        let layer = prefix.to_ascii_lowercase();
        let rank = match () {
            () if layer.is_empty() && last == "R" => 0,
            () if layer.ends_with("combined") || layer == "rgba" || layer == "beauty" => 1,
            () if last == "R" => 2,
            () => 3,
        };
        if best.as_ref().is_none_or(|(found, _)| rank < *found) {
            best = Some((rank, Colour { colour, alpha: member("A") }));
        }
    }
    // A file with one channel of any name is a picture in grey.
    best.or_else(|| (names.len() == 1).then_some((4, Colour { colour: [0; 3], alpha: None })))
}

/// IEC 61966-2-1; what is no number is black.
fn srgb(linear: f32) -> f32 {
    let linear = if linear.is_nan() { 0.0 } else { linear.clamp(0.0, 1.0) };
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
fn to_u16(value: f32) -> u16 {
    (value * 65535.0 + 0.5) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_picture_of_a_multilayer_file_is_found() {
        let all = names(&["L.Combined.A", "L.Combined.B", "L.Combined.G", "L.Combined.R", "L.Depth.Z", "L.Normal.X"]);
        assert_eq!(colour(&all), Some((1, Colour { colour: [3, 2, 1], alpha: Some(0) })));
        assert_eq!(colour(&names(&["A", "B", "G", "R"])), Some((0, Colour { colour: [3, 2, 1], alpha: Some(0) })));
        assert_eq!(colour(&names(&["Z"])), Some((4, Colour { colour: [0; 3], alpha: None })));
        assert_eq!(colour(&names(&["X", "Z"])), None);
    }

    #[test]
    fn linear_light_becomes_srgb() {
        assert_eq!(to_u16(srgb(0.0)), 0);
        assert_eq!(to_u16(srgb(1.0)), u16::MAX);
        assert_eq!(to_u16(srgb(f32::INFINITY)), u16::MAX);
        assert_eq!(to_u16(srgb(f32::NAN)), 0);
        assert!((srgb(0.5) - 0.735_357).abs() < 1e-4);
    }
}
