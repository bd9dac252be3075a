//! An image in a folder or an archive, as the OCI image specification 1.1 lays it out
//! (image-layout.md).

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use oci_distribution::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};

use crate::{Bundle, Error, MANIFEST_MAX, fetch, registry::Document, spec};

/// Folder of the blobs.
const BLOBS: &str = "blobs/sha256";
/// Content of the file `oci-layout`.
const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an image into a folder, which is made if it is not there. `skopeo copy oci:FOLDER …`
/// understands it. An image that the folder holds is replaced once all of the new one is on disk; if
/// that fails, what was there before is there after.
///
/// # Errors
/// [`Error::File`]; also if the folder is not empty, unless it holds nothing but an image layout.
pub fn write(folder: &Path, bundle: &Bundle) -> Result<(), Error> {
    refuse_foreign(folder)?;
    let files = files(bundle)?;
    let blobs = folder.join(BLOBS);
    let stage = Stage::new(folder, &blobs)?;
    for (number, (_, bytes)) in files.iter().enumerate() {
        let path = stage.file(number);
        fs::write(&path, bytes).map_err(Error::file("write", path))?;
    }
    // The files that name the blobs come last: an interrupted run leaves no half image that passes.
    for (number, (name, _)) in files.iter().enumerate() {
        let path = folder.join(name);
        fs::rename(stage.file(number), &path).map_err(Error::file("write", path))?;
    }
    remove_others(&blobs, &files)
}

/// Removes the blobs of the image that was there before.
fn remove_others(blobs: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
    for entry in fs::read_dir(blobs).map_err(Error::file("read", blobs))? {
        let path = entry.map_err(Error::file("read", blobs))?.path();
        if !files.iter().any(|(name, _)| path.ends_with(name)) {
            fs::remove_file(&path).map_err(Error::file("remove", path))?;
        }
    }
    Ok(())
}

/// Where files lie until all of them are written. When it goes, so do they, and the folders that were
/// made for them and are still empty.
struct Stage {
    path: PathBuf,
    /// Folders that were not there before, deepest first.
    made: Vec<PathBuf>,
}

impl Stage {
    fn new(folder: &Path, blobs: &Path) -> Result<Self, Error> {
        let missing = blobs.ancestors().take_while(|path| !path.exists());
        let stage = Self {
            path: folder.join("blobs/new"),
            made: missing.map(Path::to_path_buf).collect(),
        };
        // Left by a run that was killed.
        stage.remove();
        for path in [blobs, &stage.path] {
            fs::create_dir_all(path).map_err(Error::file("create", path))?;
        }
        Ok(stage)
    }

    fn file(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }

    fn remove(&self) {
        // Not being there is what is wanted; anything else the next step runs into.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.remove();
        for folder in &self.made {
            // Not empty, if all went well.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Writes an image as a tar archive of the same layout, with the same bytes every time.
///
/// # Errors
/// [`Error::File`].
pub fn write_archive(path: &Path, bundle: &Bundle) -> Result<(), Error> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files(bundle)? {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        builder
            .append_data(&mut header, name, bytes.as_slice())
            .map_err(Error::file("write", path))?;
    }
    let bytes = builder.into_inner().map_err(Error::file("write", path))?;
    write_file(path, &bytes)
}

/// Writes a file whole or not at all. Pipes, devices and symbolic links, such as `/dev/stdout`, are
/// written to as they are.
///
/// # Errors
/// [`Error::File`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, bytes).map_err(Error::file("write", path));
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    fs::write(new, bytes)
        .and_then(|()| fs::rename(new, path))
        .map_err(|error| {
            let _ = fs::remove_file(new);
            Error::file("write", path)(error)
        })
}

/// Refuses a folder with anything in it that is not ours to replace.
fn refuse_foreign(folder: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", folder)(error)),
    };
    for entry in entries {
        let name = entry.map_err(Error::file("read", folder))?.file_name();
        if !["blobs", "index.json", "oci-layout"]
            .iter()
            .any(|known| name == *known)
        {
            let error = io::Error::other(format!(
                "it holds {name:?}, which is not part of an image; give an empty folder"
            ));
            return Err(Error::file("write an image into", folder)(error));
        }
    }
    Ok(())
}

/// Names and contents, in the order in which they are written.
fn files(bundle: &Bundle) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let all = bundle
        .blobs
        .iter()
        .chain(&bundle.manifests)
        .chain([&bundle.index]);
    let mut files: Vec<_> = all
        .map(|blob| (blob_name(&blob.digest), blob.bytes.clone()))
        .collect();
    let entry = ImageIndexEntry {
        media_type: bundle.index.media_type.to_owned(),
        digest: bundle.index.digest.clone(),
        size: i64::try_from(bundle.index.bytes.len()).unwrap_or(i64::MAX),
        platform: None,
        annotations: None,
        artifact_type: None,
    };
    let index = OciImageIndex {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        manifests: vec![entry],
        artifact_type: None,
        annotations: None,
    };
    let index = serde_json::to_vec(&index).map_err(|e| Error::malformed("index", e))?;
    files.push(("index.json".to_owned(), index));
    files.push(("oci-layout".to_owned(), VERSION.to_vec()));
    Ok(files)
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The one image of a layout.
pub(crate) fn top(folder: &Path) -> Result<Document, Error> {
    let index = read(&folder.join("index.json"), "index.json", MANIFEST_MAX)?;
    let index: OciImageIndex =
        serde_json::from_slice(&index).map_err(|e| Error::malformed("index.json", e))?;
    let [entry] = <[ImageIndexEntry; 1]>::try_from(index.manifests).map_err(|entries| {
        Error::malformed(
            "index.json",
            format!("{} images instead of one", entries.len()),
        )
    })?;
    let bytes = blob(folder, &entry.digest, "the image", MANIFEST_MAX)?;
    Ok(Document {
        digest: entry.digest,
        bytes,
    })
}

/// A blob of a layout, with its digest verified.
pub(crate) fn blob(
    folder: &Path,
    digest: &str,
    what: &'static str,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    spec::check_digest(digest)?;
    fetch::verified(
        read(&folder.join(blob_name(digest)), what, limit)?,
        digest,
        what,
    )
}

fn read(path: &Path, what: &'static str, limit: usize) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path).map_err(Error::file("read", path))?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", path))?;
    if bytes.len() > limit {
        return Err(Error::TooLarge { what, limit });
    }
    Ok(bytes)
}
