//! The Python binding: `tapeline_kernel` as its stub describes it, and nothing else.

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PySequence};

use crate::router::Router;
use crate::wire::WireError;

/// Bytes from which on letting other Python threads run is worth the wait to get back.
const DETACH_BYTES: usize = 64 * 1024;

pyo3::create_exception!(tapeline_kernel, SpecError, PyValueError, "A spec the kernel cannot compile.");
pyo3::create_exception!(tapeline_kernel, BatchError, PyValueError, "Bytes that are not a SubscribeResponse.");

impl From<crate::plan::SpecError> for PyErr {
    fn from(error: crate::plan::SpecError) -> Self {
        SpecError::new_err(error.to_string())
    }
}

impl From<WireError> for PyErr {
    fn from(error: WireError) -> Self {
        BatchError::new_err(error.to_string())
    }
}

/// Runs `work` without the interpreter where there is enough of it; a panic, which no input should cause, is an error.
fn guarded<T: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let work = AssertUnwindSafe(work);
    let done = if bytes < DETACH_BYTES { catch_unwind(work) } else { py.detach(|| catch_unwind(work)) };
    done.map_err(|_| WireError::Internal.into())
}

/// The items of a list, or of any other sequence by way of one.
fn listed<'py>(items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    match items.cast::<PyList>() {
        Ok(list) => Ok(list.clone()),
        Err(_) => items.cast::<PySequence>()?.to_list(),
    }
}

#[pyclass(name = "Router", module = "tapeline_kernel")]
struct PyRouter {
    router: Router,
}

#[pymethods]
impl PyRouter {
    #[new]
    fn new(routing: &[u8], provider: &str, instance: &str, epoch: u64) -> PyResult<Self> {
        Ok(Self { router: Router::new(routing, provider, instance, epoch)? })
    }

    fn push<'py>(
        &mut self,
        py: Python<'py>,
        connection: u32,
        stamps: &Bound<'py, PyAny>,
        frames: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<(usize, Bound<'py, PyBytes>)>> {
        let (stamps, frames) = (listed(stamps)?, listed(frames)?);
        if stamps.len() != frames.len() {
            let (stamps, frames) = (stamps.len(), frames.len());
            return Err(PyValueError::new_err(format!("{stamps} stamps for {frames} frames")));
        }
        let mut work: Vec<(u64, PyBackedBytes)> = Vec::with_capacity(frames.len());
        let mut bytes = 0;
        for (stamp, frame) in stamps.iter().zip(frames.iter()) {
            let frame = PyBackedBytes::from(frame.cast_into::<PyBytes>()?);
            bytes += frame.len();
            work.push((stamp.extract()?, frame));
        }
        let router = &mut self.router;
        let left = guarded(py, bytes, || {
            let mut left = Vec::new();
            for (place, (stamp, frame)) in work.iter().enumerate() {
                if router.push(connection, *stamp, frame).is_none() {
                    left.push(place);
                }
            }
            left
        })?;
        left.into_iter().map(|place| Ok((place, (&work[place].1).into_pyobject(py)?))).collect()
    }

    fn inject(&mut self, channel: &str, schema: &str, ts_recv: u64, connection: u32, payload: &[u8]) -> u64 {
        self.router.inject(channel, schema, ts_recv, connection, payload)
    }

    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Option<(u64, u64, Bound<'py, PyBytes>)>> {
        let taken = self.router.take(|head, body| {
            PyBytes::new_with(py, head.len() + body.len(), |bytes| {
                let (front, back) = bytes.split_at_mut(head.len());
                front.copy_from_slice(head);
                back.copy_from_slice(body);
                Ok(())
            })
        });
        taken.map(|(first, last, bytes)| Ok((first, last, bytes?))).transpose()
    }

    #[getter]
    fn next_sequence(&self) -> u64 {
        self.router.next_sequence()
    }

    #[getter]
    fn open_payloads(&self) -> u64 {
        self.router.open_payloads()
    }

    #[getter]
    fn open_bytes(&self) -> usize {
        self.router.open_bytes()
    }
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SpecError", module.py().get_type::<SpecError>())?;
    module.add("BatchError", module.py().get_type::<BatchError>())?;
    module.add_class::<PyRouter>()?;
    Ok(())
}
