//! An image in a folder or an archive, as the OCI image specification 1.1 lays it out
//! (image-layout.md).

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use oci_distribution::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};

use crate::{Bundle, Error, MANIFEST_MAX, fetch, registry::Document, spec};

/// Content of the file `oci-layout`.
const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an image into a folder, which is made if it is not there. `skopeo copy oci:FOLDER …`
/// understands it.
///
/// # Errors
/// [`Error::File`]; also if the folder is not empty, unless it holds nothing but an image layout.
pub fn write(folder: &Path, bundle: &Bundle) -> Result<(), Error> {
    refuse_foreign(folder)?;
    let blobs = folder.join("blobs/sha256");
    if blobs.exists() {
        fs::remove_dir_all(&blobs).map_err(Error::file("replace", &blobs))?;
    }
    fs::create_dir_all(&blobs).map_err(Error::file("create", &blobs))?;
    // The files that name the blobs come last: an interrupted run leaves no half image that passes.
    for (name, bytes) in files(bundle)? {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(Error::file("write", path))?;
    }
    Ok(())
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
    let mut file = fs::File::create(path).map_err(Error::file("create", path))?;
    file.write_all(&bytes).map_err(Error::file("write", path))
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
