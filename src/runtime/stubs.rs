//! Stubs of Durable Objects, and the names of the objects.

use super::request::Routed;
#[cfg(feature = "server")]
use js_sys::Promise;
use js_sys::Uint8Array;
use littoral_engine::settings::region::Region;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A Durable Object namespace.
    pub(crate) type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    pub(crate) fn get_by_name(this: &Namespace, name: &str, options: &JsValue) -> Result<ObjectStub, JsValue>;

    /// The stub of a database's object, of a replica's, or of the catalogue's.
    #[derive(Clone)]
    pub type ObjectStub;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn answer(this: &ObjectStub, request: &Routed, colo: Option<&str>) -> Result<JsValue, JsValue>;

    /// Tells a database's object that the catalogue has created it.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch)]
    pub(crate) fn adopt(this: &ObjectStub, entry: &str) -> Result<Promise, JsValue>;

    /// Has a database's object import an upload, if it does not yet, and answers after a while, with the answer or how far it is.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch, js_name = importUpload)]
    pub(crate) fn import_upload(this: &ObjectStub, upload: &str, database: &str) -> Result<Promise, JsValue>;

    /// Bytes of the database file at a bookmark, and how many it has; or why there are none.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch, js_name = filePart)]
    pub(crate) fn file_part(this: &ObjectStub, database: &str, bookmark: &str, begin: f64, count: f64) -> Result<Promise, JsValue>;

    /// Has a database's object drop an upload.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch, js_name = dropUpload)]
    pub(crate) fn drop_upload(this: &ObjectStub, upload: &str) -> Result<Promise, JsValue>;

    /// Asks the catalogue's object, in JSON.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch)]
    pub(crate) fn ask(this: &ObjectStub, question: &str) -> Result<Promise, JsValue>;

    /// Has the catalogue's object delete a database.
    #[cfg(feature = "server")]
    #[wasm_bindgen(method, catch)]
    pub(crate) fn destroy(this: &ObjectStub, database: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn follow(this: &ObjectStub, question: &Uint8Array, region: Option<&str>) -> Result<JsValue, JsValue>;
}

/// The name of the replica object of a region.
pub(crate) fn replica_name(region: Region, database: &str) -> String {
    format!("{}/{database}", region.hint())
}
