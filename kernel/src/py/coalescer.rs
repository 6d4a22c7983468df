//! The binding of the coalescer.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::Guarded;
use crate::coalesce::{Coalescer, Merged};

/// Bytes of rows from which on letting other Python threads run is worth the wait to get back.
const FEED_DETACHED: usize = 8 * 1024;

#[pyclass(name = "Coalescer", module = "tapeline_kernel")]
pub(super) struct PyCoalescer {
    coalescer: Guarded<Coalescer>,
}

#[pymethods]
impl PyCoalescer {
    #[new]
    fn new(routing: &[u8], meaning: &[u8], window_ns: u64, sides: usize) -> PyResult<Self> {
        Ok(Self { coalescer: Guarded::new(Coalescer::new(routing, meaning, window_ns, sides)?) })
    }

    fn feed(&mut self, py: Python<'_>, side: usize, chunk: PyBackedBytes) -> PyResult<()> {
        let detached = chunk.len() >= FEED_DETACHED;
        let done = self.coalescer.run_detached(py, detached, |coalescer| coalescer.feed(side, &chunk))?;
        done.map_err(PyValueError::new_err)
    }

    fn boundary(&mut self, side: usize) -> PyResult<()> {
        self.coalescer.run(|coalescer| coalescer.boundary(side))?.map_err(PyValueError::new_err)
    }

    fn end(&mut self, side: usize) -> PyResult<()> {
        self.coalescer.run(|coalescer| coalescer.end(side))?.map_err(PyValueError::new_err)
    }

    fn needs(&mut self, py: Python<'_>) -> PyResult<u8> {
        self.coalescer.run_detached(py, true, Coalescer::needs)
    }

    fn take(&mut self, py: Python<'_>, limit_bytes: usize) -> PyResult<Option<PyMerged>> {
        let merged = self.coalescer.run_detached(py, true, |coalescer| coalescer.take(limit_bytes))?;
        Ok(merged.map(|merged| PyMerged::new(py, &merged)))
    }

    #[getter]
    fn duplicates(&self) -> (u64, u64) {
        self.coalescer.inner.duplicates().into()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.coalescer.inner.memory()
    }
}

#[pyclass(name = "Merged", module = "tapeline_kernel", frozen, get_all)]
pub(super) struct PyMerged {
    count: usize,
    side: Py<PyBytes>,
    seen: Py<PyBytes>,
    epoch: Py<PyBytes>,
    sequence: Py<PyBytes>,
    connection: Py<PyBytes>,
    ts_recv: Py<PyBytes>,
    order: Py<PyBytes>,
    other_epoch: Py<PyBytes>,
    other_sequence: Py<PyBytes>,
    other_ts_recv: Py<PyBytes>,
    offsets: Py<PyBytes>,
    data: Py<PyBytes>,
}

impl PyMerged {
    fn new(py: Python<'_>, merged: &Merged) -> Self {
        let column = |bytes: &[u8]| PyBytes::new(py, bytes).unbind();
        Self {
            count: merged.len(),
            side: column(&merged.side),
            seen: column(&merged.seen),
            epoch: column(&merged.epoch),
            sequence: column(&merged.sequence),
            connection: column(&merged.connection),
            ts_recv: column(&merged.ts_recv),
            order: column(&merged.order),
            other_epoch: column(&merged.other_epoch),
            other_sequence: column(&merged.other_sequence),
            other_ts_recv: column(&merged.other_ts_recv),
            offsets: column(&merged.offsets),
            data: column(&merged.data),
        }
    }
}
