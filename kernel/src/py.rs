//! The Python binding: `tapeline_kernel` as its stub describes it, and nothing else.

mod coalescer;
mod merger;
mod normalizer;
mod router;

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PySequence};

use crate::decode::{Decoder, Undecodable};
use crate::merge;
use crate::normalize;
use crate::rows;
use crate::wire::WireError;

/// Bytes of frames from which on letting other Python threads run is worth the wait to get back: some 50 µs of work.
const ROUTE_DETACHED: usize = 64 * 1024;

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

/// Kernel state that no call can leave half done: a panic, which no input should cause, is an error then and ever after.
struct Guarded<T> {
    inner: T,
    failed: bool,
}

impl<T: Send> Guarded<T> {
    fn new(inner: T) -> Self {
        Self { inner, failed: false }
    }

    fn run<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> PyResult<R> {
        if self.failed {
            return Err(WireError::Internal.into());
        }
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut self.inner)));
        self.failed = done.is_err();
        done.map_err(|_| WireError::Internal.into())
    }

    /// The same while other Python threads run, where there is enough to do for that.
    fn run_detached<R: Send>(
        &mut self,
        py: Python<'_>,
        enough: bool,
        work: impl FnOnce(&mut T) -> R + Send,
    ) -> PyResult<R> {
        if enough {
            py.detach(|| self.run(work))
        } else {
            self.run(work)
        }
    }
}

/// The items of a list, or of any other sequence by way of one.
fn listed<'py>(items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    match items.cast::<PyList>() {
        Ok(list) => Ok(list.clone()),
        Err(_) => items.cast::<PySequence>()?.to_list(),
    }
}

fn joined<'py>(py: Python<'py>, head: &[u8], body: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, head.len() + body.len(), |bytes| {
        let (front, back) = bytes.split_at_mut(head.len());
        front.copy_from_slice(head);
        back.copy_from_slice(body);
        Ok(())
    })
}

/// What a frame stands for; the same object where that is the frame itself.
fn decoded<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyBytes>,
    text: Result<&[u8], Undecodable>,
) -> PyResult<Bound<'py, PyBytes>> {
    match text {
        Ok(text) if std::ptr::eq(text, frame.as_bytes()) => Ok(frame.clone()),
        Ok(text) => Ok(PyBytes::new(py, text)),
        Err(Undecodable(reason)) => Err(PyValueError::new_err(reason)),
    }
}

#[pyclass(name = "Decoder", module = "tapeline_kernel")]
struct PyDecoder {
    decoder: Guarded<Decoder>,
}

#[pymethods]
impl PyDecoder {
    #[new]
    fn new(decoder: &[u8]) -> PyResult<Self> {
        Ok(Self { decoder: Guarded::new(Decoder::from_json(decoder)?) })
    }

    fn decode<'py>(&mut self, payload: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let py = payload.py();
        self.decoder.run(|decoder| decoded(py, &payload, decoder.decode(payload.as_bytes())))?
    }
}

/// One run of rows as Python has it: channel, schema, first, last, payloads, rows.
type PyRun<'py> = (&'py str, &'py str, u64, u64, u64, Bound<'py, PyBytes>);

#[pyfunction]
fn split_batch(py: Python<'_>, response: PyBackedBytes, epoch: u64, after: u64, span_ns: u64) -> PyResult<Py<PyAny>> {
    let split = AssertUnwindSafe(|| rows::split(&response, epoch, after, span_ns));
    let done = if response.len() < ROUTE_DETACHED { catch_unwind(split) } else { py.detach(|| catch_unwind(split)) };
    let found = done.map_err(|_| PyErr::from(WireError::Internal))??;
    let mut segments = Vec::with_capacity(found.segments.len());
    for segment in &found.segments {
        let runs: Vec<PyRun<'_>> = segment
            .runs
            .iter()
            .map(|run| (run.channel, run.schema, run.first, run.last, run.payloads, PyBytes::new(py, &run.rows)))
            .collect();
        segments.push((segment.end, segment.first, segment.last, segment.ts_recv, runs));
    }
    Ok((found.epoch, found.first, found.last, found.gap, segments).into_pyobject(py)?.into_any().unbind())
}

#[pyfunction]
fn merge_batches<'py>(py: Python<'py>, responses: Vec<PyBackedBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let merged = catch_unwind(AssertUnwindSafe(|| merge::merge(&responses)));
    let merged = merged.map_err(|_| PyErr::from(WireError::Internal))??;
    Ok(PyBytes::new(py, &merged))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SpecError", module.py().get_type::<SpecError>())?;
    module.add("BatchError", module.py().get_type::<BatchError>())?;
    module.add("SIDECAR", normalize::SIDECAR.to_vec())?;
    module.add_class::<PyDecoder>()?;
    module.add_class::<router::PyRouter>()?;
    module.add_class::<normalizer::PyEvent>()?;
    module.add_class::<normalizer::PyOutput>()?;
    module.add_class::<normalizer::PyNormalizer>()?;
    module.add_class::<merger::PyMerger>()?;
    module.add_class::<coalescer::PyCoalescer>()?;
    module.add_class::<coalescer::PyMerged>()?;
    module.add_function(wrap_pyfunction!(merger::identities, module)?)?;
    module.add_function(wrap_pyfunction!(normalizer::gather, module)?)?;
    module.add_function(wrap_pyfunction!(merge_batches, module)?)?;
    module.add_function(wrap_pyfunction!(split_batch, module)?)?;
    Ok(())
}
