//! The binding of the merger.

use std::collections::BTreeMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::Guarded;
use crate::merger::output::Kind;
use crate::merger::turn::Rules;
use crate::merger::{identity, Merger};
use crate::record::Schema;

#[pyclass(name = "Merger", module = "tapeline_kernel")]
pub(super) struct PyMerger {
    merger: Guarded<Merger>,
}

/// Channel, kind, records, and of a gap the ids around it.
type PyPiece<'py> = (u32, u8, Bound<'py, PyBytes>, u32, u32);

#[pymethods]
impl PyMerger {
    // Python names them all.
    #[allow(clippy::too_many_arguments)]
    #[new]
    #[pyo3(signature = (*, prefer, wait_ns, patience_ns, settle_ns, window_ns, memory_bytes, dense_after, floor_ns = 0))]
    fn new(
        prefer: Option<usize>,
        wait_ns: u64,
        patience_ns: u64,
        settle_ns: u64,
        window_ns: u64,
        memory_bytes: usize,
        dense_after: u32,
        floor_ns: u64,
    ) -> PyResult<Self> {
        if prefer.is_some_and(|side| side > 1) {
            return Err(PyValueError::new_err("prefer is neither None, 0 nor 1"));
        }
        let rules = Rules {
            prefer,
            wait: wait_ns,
            patience: patience_ns,
            settle: settle_ns,
            window: window_ns,
            bytes: memory_bytes,
            dense: dense_after,
        };
        Ok(Self { merger: Guarded::new(Merger::new(rules, floor_ns)) })
    }

    fn lane(&mut self, name: &str) -> PyResult<u32> {
        Ok(self.merger.run(|merger| merger.lane(name))??)
    }

    #[pyo3(signature = (slot, data, now, snapshot = false))]
    fn feed(&mut self, slot: u64, data: &[u8], now: u64, snapshot: bool) -> PyResult<()> {
        let lane = u32::try_from(slot >> 1).map_err(|_| PyValueError::new_err("no such channel"))?;
        let kind = if snapshot { Kind::Snapshot } else { Kind::Live };
        self.merger.run(|merger| merger.feed((slot & 1) as usize, lane, data, now, kind))
    }

    fn tick(&mut self, now: u64) -> PyResult<()> {
        self.merger.run(|merger| merger.tick(now))
    }

    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<PyPiece<'py>>> {
        let output = self.merger.run(Merger::take_output)?;
        let pieces = output.pieces.iter().map(|piece| {
            let kind = match piece.kind {
                Kind::Live => 0,
                Kind::Snapshot => 1,
                Kind::Gap => 2,
            };
            (piece.lane, kind, PyBytes::new(py, &output.bytes[piece.start..piece.end]), piece.from, piece.to)
        });
        Ok(pieces.collect())
    }

    fn commands<'py>(&mut self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let (data, commands) = self.merger.run(Merger::commands)?;
        Ok((PyBytes::new(py, &data), commands))
    }

    #[pyo3(signature = (all = false))]
    fn flush<'py>(&mut self, py: Python<'py>, all: bool) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let (data, commands) = self.merger.run_detached(py, true, |merger| merger.flush(all))?;
        Ok((PyBytes::new(py, &data), commands))
    }

    fn resume(&mut self, lane: u32, data: &[u8]) -> PyResult<()> {
        self.merger.run(|merger| merger.resume(lane, data))
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.merger.inner.memory()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = &self.merger.inner.counts;
        let sides = |pair: [u64; 2]| BTreeMap::from([("PRIMARY", pair[0]), ("REPLICA", pair[1])]);
        let told = PyDict::new(py);
        told.set_item("delivered", sides(counts.delivered))?;
        told.set_item("missed", sides(counts.missed))?;
        told.set_item("twins", counts.twins)?;
        told.set_item("repeats", counts.repeats)?;
        told.set_item("snapshots", counts.snapshots)?;
        told.set_item("gaps", counts.gaps)?;
        told.set_item("doubts", counts.doubts)?;
        told.set_item("switches", counts.switches)?;
        told.set_item("malformed", counts.malformed)?;
        Ok(told)
    }
}

/// The identity of each venue message in whole records.
#[pyfunction]
pub(super) fn identities<'py>(py: Python<'py>, schema: &str, data: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    let schema = Schema::parse(schema)?;
    if !identity::layout(schema).whole(data) {
        return Err(PyValueError::new_err("data is no whole records of this schema"));
    }
    let units = identity::cut(schema, data);
    let named: Vec<(Bound<'py, PyBytes>, usize)> =
        units.map(|unit| (PyBytes::new(py, &identity::key(schema, unit).to_be_bytes()), unit.len())).collect();
    PyTuple::new(py, named)
}
