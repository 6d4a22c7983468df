//! The Python binding: `tapeline_kernel` as its stub describes it, and nothing else.

mod coalescer;
mod merger;

use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PySequence};

use crate::decode::{Decoder, Undecodable};
use crate::merge;
use crate::normalize::{self, Normalizer, Sink};
use crate::router::Router;
use crate::rows;
use crate::wire::WireError;

/// Bytes of frames from which on letting other Python threads run is worth the wait to get back: some 50 µs of work.
const ROUTE_DETACHED: usize = 64 * 1024;
/// The same for payloads to be normalised.
const NORMALIZE_DETACHED: usize = 8 * 1024;

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

/// A frame no route takes, with its place.
type Left<'py> = (usize, Bound<'py, PyBytes>);

#[pyclass(name = "Router", module = "tapeline_kernel")]
struct PyRouter {
    router: Guarded<Router>,
}

#[pymethods]
impl PyRouter {
    #[new]
    fn new(routing: &[u8], provider: &str, instance: &str, epoch: u64) -> PyResult<Self> {
        Ok(Self { router: Guarded::new(Router::new(routing, provider, instance, epoch)?) })
    }

    #[pyo3(signature = (connection, stamps, frames, start = 0))]
    fn push<'py>(
        &mut self,
        py: Python<'py>,
        connection: u32,
        stamps: &Bound<'py, PyAny>,
        frames: &Bound<'py, PyAny>,
        start: usize,
    ) -> PyResult<(Vec<Left<'py>>, usize)> {
        let (stamps, frames) = (listed(stamps)?, listed(frames)?);
        if stamps.len() != frames.len() {
            let (stamps, frames) = (stamps.len(), frames.len());
            return Err(PyValueError::new_err(format!("{stamps} stamps for {frames} frames")));
        }
        let mut work: Vec<(u64, PyBackedBytes)> = Vec::with_capacity(frames.len().saturating_sub(start));
        let mut bytes = 0;
        for (stamp, frame) in stamps.iter().zip(frames.iter()).skip(start) {
            let frame = PyBackedBytes::from(frame.cast_into::<PyBytes>()?);
            bytes += frame.len();
            work.push((stamp.extract()?, frame));
        }
        let (left, done) = self.router.run_detached(py, bytes >= ROUTE_DETACHED, |router| {
            let mut left = Vec::new();
            for (place, (stamp, frame)) in work.iter().enumerate() {
                if router.push(connection, *stamp, frame).is_none() {
                    left.push(place);
                    if router.stops() {
                        return (left, place + 1);
                    }
                }
            }
            (left, work.len())
        })?;
        let left: PyResult<Vec<Left<'py>>> =
            left.into_iter().map(|place| Ok((start + place, (&work[place].1).into_pyobject(py)?))).collect();
        Ok((left?, start + done))
    }

    fn connected(&mut self, connection: u32, endpoint: &str) -> PyResult<()> {
        self.router.run(|router| router.connected(connection, endpoint))
    }

    fn reroute(&mut self, routing: &[u8]) -> PyResult<()> {
        Ok(self.router.run(|router| router.reroute(routing))??)
    }

    fn learn(&mut self, connection: u32, key: &str, channel: &str) -> PyResult<()> {
        self.router.run(|router| router.learn(connection, key, channel))
    }

    #[pyo3(signature = (connection, key = None))]
    fn forget(&mut self, connection: u32, key: Option<&str>) -> PyResult<()> {
        self.router.run(|router| router.forget(connection, key))
    }

    fn decode<'py>(&mut self, frame: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let py = frame.py();
        self.router.run(|router| decoded(py, &frame, router.decode(frame.as_bytes())))?
    }

    fn cursor(&self, channel: &str) -> String {
        self.router.inner.cursor(channel)
    }

    fn inject(&mut self, channel: &str, schema: &str, ts_recv: u64, connection: u32, payload: &[u8]) -> PyResult<u64> {
        self.router.run(|router| router.inject(channel, schema, ts_recv, connection, payload))
    }

    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Option<(u64, u64, Bound<'py, PyBytes>)>> {
        let taken = self.router.run(|router| router.take(|head, body| joined(py, head, body)))?;
        taken.map(|(first, last, bytes)| Ok((first, last, bytes?))).transpose()
    }

    #[getter]
    fn next_sequence(&self) -> u64 {
        self.router.inner.next_sequence()
    }

    #[getter]
    fn open_payloads(&self) -> u64 {
        self.router.inner.open_payloads()
    }

    #[getter]
    fn open_bytes(&self) -> usize {
        self.router.inner.open_bytes()
    }
}

#[pyclass(name = "Event", module = "tapeline_kernel", frozen, get_all)]
struct PyEvent {
    kind: &'static str,
    channel: String,
    symbol: String,
    reason: String,
    sequence: u64,
    from_id: u64,
    to_id: u64,
    sample: Py<PyBytes>,
}

impl PyEvent {
    fn new(py: Python<'_>, event: normalize::Event) -> Self {
        Self {
            kind: event.kind.name(),
            channel: event.channel,
            symbol: event.symbol,
            reason: event.reason,
            sequence: event.sequence,
            from_id: event.from_id,
            to_id: event.to_id,
            sample: PyBytes::new(py, &event.sample).unbind(),
        }
    }
}

#[pyclass(name = "Output", module = "tapeline_kernel", frozen, get_all)]
struct PyOutput {
    data: Py<PyBytes>,
    commands: u32,
    payloads: usize,
    records: usize,
    sidecar: Py<PyBytes>,
    events: Py<PyList>,
    epoch: u64,
    first: u64,
    last: u64,
    oldest_ts_recv: u64,
}

impl PyOutput {
    fn new(py: Python<'_>, output: normalize::Output) -> PyResult<Self> {
        let events: Vec<PyEvent> = output.events.into_iter().map(|event| PyEvent::new(py, event)).collect();
        Ok(Self {
            data: PyBytes::new(py, &output.data).unbind(),
            commands: output.commands,
            payloads: output.payloads,
            records: output.records,
            sidecar: PyBytes::new(py, &output.sidecar).unbind(),
            events: events.into_pyobject(py)?.cast_into::<PyList>()?.unbind(),
            epoch: output.epoch,
            first: output.first,
            last: output.last,
            oldest_ts_recv: output.oldest_ts_recv,
        })
    }
}

#[pyclass(name = "Normalizer", module = "tapeline_kernel")]
struct PyNormalizer {
    normalizer: Guarded<Normalizer>,
}

#[pymethods]
impl PyNormalizer {
    #[new]
    #[pyo3(signature = (meaning, provider, instance, sink = "resp"))]
    fn new(meaning: &[u8], provider: &str, instance: &str, sink: &str) -> PyResult<Self> {
        let sink = match sink {
            "resp" => Sink::Resp,
            "dbn" => Sink::Dbn,
            _ => return Err(PyValueError::new_err(format!("sink {sink:?} is neither resp nor dbn"))),
        };
        Ok(Self { normalizer: Guarded::new(Normalizer::new(meaning, provider, instance, sink)?) })
    }

    fn normalize(&mut self, py: Python<'_>, response: PyBackedBytes) -> PyResult<PyOutput> {
        let detached = response.len() >= NORMALIZE_DETACHED;
        let output = self.normalizer.run_detached(py, detached, |normalizer| normalizer.normalize(&response))??;
        PyOutput::new(py, output)
    }

    #[pyo3(signature = (all = false))]
    fn flush<'py>(&mut self, py: Python<'py>, all: bool) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let (data, commands) = self.normalizer.run_detached(py, true, |normalizer| normalizer.flush(all))?;
        Ok((PyBytes::new(py, &data), commands))
    }

    fn restore(&mut self, py: Python<'_>, fields: &Bound<'_, PyDict>) -> PyResult<u64> {
        let items: PyResult<Vec<(Vec<u8>, Vec<u8>)>> = fields
            .iter()
            .map(|(field, value)| {
                let (field, value) = (field.cast_into::<PyBytes>()?, value.cast_into::<PyBytes>()?);
                Ok((field.as_bytes().to_vec(), value.as_bytes().to_vec()))
            })
            .collect();
        let items = items?;
        self.normalizer.run_detached(py, true, |normalizer| normalizer.restore(&items))
    }

    fn counters(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        self.normalizer.inner.counters()
    }

    fn channels(&self) -> Vec<(String, String)> {
        self.normalizer.inner.channels()
    }

    fn symbols(&self) -> BTreeMap<u32, String> {
        self.normalizer.inner.symbols()
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
    module.add_class::<PyRouter>()?;
    module.add_class::<PyEvent>()?;
    module.add_class::<PyOutput>()?;
    module.add_class::<PyNormalizer>()?;
    module.add_class::<merger::PyMerger>()?;
    module.add_class::<coalescer::PyCoalescer>()?;
    module.add_class::<coalescer::PyMerged>()?;
    module.add_function(wrap_pyfunction!(merger::identities, module)?)?;
    module.add_function(wrap_pyfunction!(merge_batches, module)?)?;
    module.add_function(wrap_pyfunction!(split_batch, module)?)?;
    Ok(())
}
