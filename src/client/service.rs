//! The transport of production: a service binding to the Littoral Worker, or a Durable Object stub; both offer the same RPC methods.

use super::{Database, Error, Point, Request, Transport};
use crate::runtime::js::error_text;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    type Rpc;

    #[wasm_bindgen(method, catch)]
    fn query(this: &Rpc, body: &str, options: &JsValue) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn dump(this: &Rpc, options: &JsValue) -> Result<js_sys::Promise, JsValue>;

    /// The runtime's `Response`, which reads a stream to its end.
    #[wasm_bindgen(js_name = Response)]
    type JsResponse;

    #[wasm_bindgen(constructor, js_class = "Response")]
    fn new(body: &JsValue) -> JsResponse;

    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &JsResponse) -> Result<js_sys::Promise, JsValue>;
}

/// A binding whose RPC methods are Littoral's.
pub struct ServiceBinding {
    rpc: Rc<Rpc>,
    /// The database that is meant, where the binding reaches several.
    database: Option<Rc<str>>,
}

impl ServiceBinding {
    /// Wraps a JavaScript object: a service binding, or a stub of the Durable Object.
    pub fn new(binding: JsValue) -> ServiceBinding {
        ServiceBinding { rpc: Rc::new(binding.unchecked_into()), database: None }
    }

    /// The same, for one database of a service binding whose props grant several.
    pub fn named(self, database: &str) -> ServiceBinding {
        ServiceBinding { database: Some(database.into()), ..self }
    }
}

impl Database {
    /// The database bound under `name` in the Worker's configuration:
    ///
    /// ```toml
    /// [[services]]
    /// binding = "DB"
    /// service = "littoral"
    /// props = { database = "main" }
    /// ```
    pub fn from_env(env: &Env, name: &str) -> Result<Database, Error> {
        Ok(Database::new(service(env, name)?))
    }

    /// The database `database` of the service binding `name`, whose props grant several:
    ///
    /// ```toml
    /// [[services]]
    /// binding = "TENANTS"
    /// service = "littoral"
    /// props = { databases = "tenant-*", create = true }
    /// ```
    ///
    /// With `create` a database comes into being when it is first used.
    pub fn from_service(env: &Env, name: &str, database: &str) -> Result<Database, Error> {
        Ok(Database::new(service(env, name)?.named(database)))
    }

    /// The database `database` in the Durable Object namespace of the Littoral Worker that is bound under `name`. Calls go straight to the
    /// object, one step less than through a service binding; such a binding reaches every database there.
    ///
    /// ```toml
    /// [[durable_objects.bindings]]
    /// name = "DATABASES"
    /// class_name = "Database"
    /// script_name = "littoral"
    /// ```
    pub fn from_namespace(env: &Env, name: &str, database: &str) -> Result<Database, Error> {
        let stub = env.durable_object(name).and_then(|namespace| namespace.get_by_name(database));
        let stub = stub.map_err(|error| Error::Binding { message: error.to_string() })?;
        Ok(Database::new(ServiceBinding::new(stub.into_rpc())))
    }
}

fn service(env: &Env, name: &str) -> Result<ServiceBinding, Error> {
    let binding = js_sys::Reflect::get(env, &name.into()).unwrap_or(JsValue::UNDEFINED);
    if !binding.is_object() {
        return Err(Error::Binding { message: format!("the environment has no binding {name}") });
    }
    if class_of(&binding).as_deref() == Some("D1Database") {
        let message = format!("{name} is the runtime's own D1Database: use env.d1(), or leave `dev.plugin` out of the binding");
        return Err(Error::Binding { message });
    }
    Ok(ServiceBinding::new(binding))
}

impl Transport for ServiceBinding {
    fn query(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, Error>>>> {
        let (rpc, database) = (self.rpc.clone(), self.database.clone());
        Box::pin(async move {
            let options = options(&request, database.as_deref()).map_err(lost)?;
            let answer = JsFuture::from(rpc.query(&request.body, &options).map_err(lost)?).await.map_err(lost)?;
            match answer.dyn_ref::<js_sys::Uint8Array>() {
                // Long answers travel as UTF-8.
                Some(utf8) => String::from_utf8(utf8.to_vec()).map_err(Error::answer),
                None => answer.as_string().ok_or_else(|| Error::answer("it is no text")),
            }
        })
    }

    fn dump(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>> {
        let (rpc, database) = (self.rpc.clone(), self.database.clone());
        Box::pin(async move {
            let stream = JsFuture::from(rpc.dump(&named(database.as_deref()).map_err(lost)?).map_err(lost)?).await.map_err(lost)?;
            let file = JsFuture::from(JsResponse::new(&stream).array_buffer().map_err(lost)?).await.map_err(lost)?;
            Ok(js_sys::Uint8Array::new(&file).to_vec())
        })
    }
}

/// The database that is meant, as `query` and `dump` take it; undefined: there is one.
fn named(database: Option<&str>) -> Result<JsValue, JsValue> {
    let Some(database) = database else { return Ok(JsValue::UNDEFINED) };
    let options = js_sys::Object::new();
    js_sys::Reflect::set(&options, &"database".into(), &database.into())?;
    Ok(options.into())
}

/// What routes a request, as `query` takes it; undefined: nothing does.
fn options(Request { session, at, timeout_ms, .. }: &Request, database: Option<&str>) -> Result<JsValue, JsValue> {
    let options = named(database)?;
    if session.is_none() && at.is_none() && timeout_ms.is_none() {
        return Ok(options);
    }
    let options = options.dyn_into::<js_sys::Object>().unwrap_or_default();
    if let Some(session) = session {
        js_sys::Reflect::set(&options, &"session".into(), &session.as_ref().into())?;
    }
    if let Some(at) = at {
        let at = match at {
            Point::Bookmark(bookmark) => bookmark.to_string().into(),
            Point::Time(time_ms) => JsValue::from(*time_ms as f64),
        };
        js_sys::Reflect::set(&options, &"at".into(), &at)?;
    }
    if let Some(timeout_ms) = timeout_ms {
        js_sys::Reflect::set(&options, &"timeout_ms".into(), &JsValue::from(*timeout_ms as f64))?;
    }
    Ok(options.into())
}

fn class_of(value: &JsValue) -> Option<String> {
    let constructor = js_sys::Reflect::get(value, &"constructor".into()).ok()?;
    js_sys::Reflect::get(&constructor, &"name".into()).ok()?.as_string()
}

/// The error for what a call threw.
pub(crate) fn lost(error: JsValue) -> Error {
    let said = error_text(&error);
    // In words about the call, and not about the runtime's messages.
    let too_large =
        "the request is larger than 32 MiB, or its answer, which the runtime does not carry: send large values in several calls";
    let message = if said.starts_with("Serialized RPC") { too_large.into() } else { said };
    Error::Binding { message }
}
