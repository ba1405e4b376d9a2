//! Embedded files of scripts: paths first, as `let` expressions may name them, contents after.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use openjd_expr::format_string::FormatStringOptions;
use openjd_expr::function_library::FunctionLibrary;
use openjd_expr::symbol_table::SymbolTable;
use openjd_expr::{ExprValue, PathFormat};
use openjd_model::job::EmbeddedFile;
use openjd_model::types::EndOfLine;

use super::symbols;

/// Files of one script, with a path each.
pub(super) struct Files<'a> {
    files: Vec<(&'a EmbeddedFile, PathBuf)>,
}

impl<'a> Files<'a> {
    /// Gives each file a path in `folder`: its `filename`, or one that no other file has.
    pub(super) fn allocate(files: Option<&'a [EmbeddedFile]>, folder: &Path) -> Result<Self, String> {
        let files = files.unwrap_or_default().iter().map(|file| {
            let name = match &file.filename {
                Some(name) => name.clone(),
                None => uuid::Uuid::new_v4().simple().to_string(),
            };
            // The model refuses separators too; this is the line that keeps a template inside its folder.
            let mut components = Path::new(&name).components();
            match (components.next(), components.next()) {
                (Some(Component::Normal(only)), None) if only == name.as_str() => Ok((file, folder.join(&name))),
                _ => Err(format!(
                    "The embedded file '{}' has the filename '{name}', which is no plain file name",
                    file.name
                )),
            }
        });
        Ok(Self { files: files.collect::<Result<_, _>>()? })
    }

    /// Makes the paths known as `Task.File.NAME` or `Env.File.NAME`.
    pub(super) fn declare(&self, prefix: &str, symbols: &mut SymbolTable) -> Result<(), String> {
        for (file, path) in &self.files {
            let value = ExprValue::new_path(path.to_string_lossy(), PathFormat::host());
            symbols::set(symbols, &format!("{prefix}.{}", file.name), value)?;
        }
        Ok(())
    }

    /// Writes the contents, resolved; returns the paths. Readable for the session's user alone, executable when runnable.
    pub(super) fn write(&self, symbols: &SymbolTable, library: &FunctionLibrary) -> Result<Vec<&Path>, String> {
        for (file, path) in &self.files {
            let options = FormatStringOptions::new().with_library(library);
            let text = match &file.data {
                Some(data) => data
                    .resolve_string_with(symbols, &options)
                    .map_err(|err| format!("The embedded file '{}' cannot be resolved: {err}", file.name))?,
                None => String::new(),
            };
            let text = match file.end_of_line {
                None => text,
                Some(EndOfLine::Lf) => text.replace("\r\n", "\n"),
                Some(EndOfLine::Crlf) => text.replace("\r\n", "\n").replace('\n', "\r\n"),
                Some(EndOfLine::Auto) if cfg!(windows) => text.replace("\r\n", "\n").replace('\n', "\r\n"),
                Some(EndOfLine::Auto) => text.replace("\r\n", "\n"),
            };
            write(path, text.as_bytes(), file.runnable.unwrap_or(false)).map_err(|err| {
                format!("The embedded file '{}' cannot be written to {}: {err}", file.name, path.display())
            })?;
        }
        Ok(self.files.iter().map(|(_, path)| path.as_path()).collect())
    }
}

fn write(path: &Path, contents: &[u8], runnable: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if runnable { 0o700 } else { 0o600 });
    }
    let _ = runnable;
    // Replaced, not overwritten: a process of an earlier task may still run the old file (ETXTBSY).
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    options.open(path)?.write_all(contents)
}
