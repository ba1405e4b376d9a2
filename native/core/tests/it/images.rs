//! Images that Python's standard library cannot write.

use image::{Rgb, RgbImage};
use shotput_core::CoreError;
use shotput_core::images;

#[test]
fn a_jpeg_is_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, torn, out) = (folder.path().join("a.jpg"), folder.path().join("b.jpg"), folder.path().join("out.png"));
    let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 4, y as u8 * 4, 128]));
    picture.save(&whole).unwrap();
    images::thumbnail(&whole, &out, 32).unwrap();
    assert_eq!(images::image_size(&out).unwrap(), (32, 32));
    assert_eq!(images::mean_difference(&whole, &whole).unwrap(), 0.0);
    let bytes = std::fs::read(&whole).unwrap();
    for kept in [3, 100, bytes.len() / 2, bytes.len() - 2] {
        std::fs::write(&torn, &bytes[..kept]).unwrap();
        let err = images::thumbnail(&torn, &out, 32).unwrap_err();
        let text = err.to_string();
        assert!(matches!(err, CoreError::Image(_)));
        assert!(text.starts_with(&format!("Cannot read the image {}: ", torn.display())), "{text}");
    }
    // Cameras and programs append data of their own behind the end.
    std::fs::write(&torn, [&bytes[..], b"\0\0appended"].concat()).unwrap();
    assert_eq!(images::mean_difference(&whole, &torn).unwrap(), 0.0);
}

#[test]
fn a_compressed_openexr_of_halves_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("a.exr"), folder.path().join("out.png"));
    let pixels = |_| (exr::prelude::f16::from_f32(0.215_860_5), exr::prelude::f16::ONE, exr::prelude::f16::ZERO);
    exr::prelude::write_rgb_file(&file, 70, 40, |x, _| pixels(x)).unwrap();
    images::thumbnail(&file, &out, 100).unwrap();
    let shown = image::open(&out).unwrap().into_rgb8();
    assert_eq!(shown.dimensions(), (70, 40));
    assert!(shown.pixels().all(|pixel| pixel.0[0].abs_diff(128) <= 1 && pixel.0[1..] == [255, 0]));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();
    assert!(images::thumbnail(&file, &out, 100).is_err());
}
