//! The binding of the normalizer.

use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView};

use super::Guarded;
use crate::normalize::{self, Normalizer, Shard, Sink};
use crate::wire::{self, BatchView, Chunk, Columns, WireError};

/// Bytes of payloads from which on letting other Python threads run is worth the wait to get back: some 50 µs of work.
const NORMALIZE_DETACHED: usize = 8 * 1024;

/// The same, in bytes of the column of places.
const ROWS_DETACHED: usize = 8 * 64;

/// The bytes of a bytes object as they are, of any other buffer (an array, say) a copy.
fn buffer(object: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone().into()),
        Err(_) => Ok(PyMemoryView::from(object)?.call_method0("tobytes")?.cast_into::<PyBytes>()?.into()),
    }
}

/// Chunks held as Python gave them: offsets and data of each.
struct Chunks(Vec<(PyBackedBytes, PyBackedBytes)>);

impl Chunks {
    fn new(chunks: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pair = |chunk: PyResult<Bound<'_, PyAny>>| {
            let (offsets, data): (Bound<'_, PyAny>, Bound<'_, PyAny>) = chunk?.extract()?;
            Ok((buffer(&offsets)?, buffer(&data)?))
        };
        Ok(Self(chunks.try_iter()?.map(pair).collect::<PyResult<_>>()?))
    }

    fn views(&self) -> Vec<Chunk<'_>> {
        self.0.iter().map(|(offsets, data)| Chunk { offsets, data }).collect()
    }
}

/// Columns held as Python gave them.
struct Rows {
    channels: Vec<(PyBackedStr, PyBackedStr)>,
    channel: PyBackedBytes,
    ts_recv: PyBackedBytes,
    connection: PyBackedBytes,
    places: PyBackedBytes,
    chunks: Chunks,
}

impl Rows {
    fn new(
        channels: Vec<(PyBackedStr, PyBackedStr)>,
        channel: &Bound<'_, PyAny>,
        ts_recv: &Bound<'_, PyAny>,
        connection: &Bound<'_, PyAny>,
        places: &Bound<'_, PyAny>,
        chunks: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            channels,
            channel: buffer(channel)?,
            ts_recv: buffer(ts_recv)?,
            connection: buffer(connection)?,
            places: buffer(places)?,
            chunks: Chunks::new(chunks)?,
        })
    }

    /// Whether there is enough to let other Python threads run.
    fn large(&self) -> bool {
        self.places.len() >= ROWS_DETACHED
    }

    fn batch<'a>(&'a self, epoch: u64, first: u64, chunks: &'a [Chunk<'a>]) -> Result<BatchView<'a>, WireError> {
        let channels = self.channels.iter().map(|(name, schema)| (&**name, &**schema)).collect();
        let columns = Columns {
            channel: &self.channel,
            ts_recv: &self.ts_recv,
            connection: &self.connection,
            places: &self.places,
            chunks,
        };
        BatchView::of_columns(epoch, first, channels, &columns)
    }
}

/// See the stub.
#[pyfunction]
pub(super) fn gather<'py>(
    py: Python<'py>,
    chunks: &Bound<'py, PyAny>,
    places: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (chunks, places) = (Chunks::new(chunks)?, buffer(places)?);
    let laid_out = AssertUnwindSafe(|| wire::laid_out(&chunks.views(), &places));
    let offsets = py.detach(|| catch_unwind(laid_out)).map_err(|_| PyErr::from(WireError::Internal))??;
    let size = offsets.last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
    // The bytes are written where Python will have them: to copy them once more would cost more than others gain meanwhile.
    let data = PyBytes::new_with(py, usize::try_from(size)?, |into| {
        catch_unwind(AssertUnwindSafe(|| wire::gather(&chunks.views(), &places, into)))
            .map_err(|_| WireError::Internal.into())
    })?;
    Ok((PyBytes::new(py, &offsets), data))
}

#[pyclass(name = "Event", module = "tapeline_kernel", frozen, get_all)]
pub(super) struct PyEvent {
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
pub(super) struct PyOutput {
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
pub(super) struct PyNormalizer {
    normalizer: Guarded<Normalizer>,
}

#[pymethods]
impl PyNormalizer {
    #[new]
    #[pyo3(
        signature = (meaning, provider, instance, sink = "resp", shard = (0, 1)),
        text_signature = "(meaning, provider, instance, sink='resp', shard=(0, 1))"
    )]
    fn new(meaning: &[u8], provider: &str, instance: &str, sink: &str, shard: (u32, u32)) -> PyResult<Self> {
        let sink = match sink {
            "resp" => Sink::Resp,
            "dbn" => Sink::Dbn,
            _ => return Err(PyValueError::new_err(format!("sink {sink:?} is neither resp nor dbn"))),
        };
        let shard = Shard::new(shard.0, shard.1)?;
        Ok(Self { normalizer: Guarded::new(Normalizer::of_shard(meaning, provider, instance, sink, shard)?) })
    }

    fn normalize(&mut self, py: Python<'_>, response: PyBackedBytes) -> PyResult<PyOutput> {
        let detached = response.len() >= NORMALIZE_DETACHED;
        let output = self.normalizer.run_detached(py, detached, |normalizer| normalizer.normalize(&response))??;
        PyOutput::new(py, output)
    }

    // Python names them all.
    #[allow(clippy::too_many_arguments)]
    fn normalize_rows(
        &mut self,
        py: Python<'_>,
        epoch: u64,
        first: u64,
        channels: Vec<(PyBackedStr, PyBackedStr)>,
        channel: &Bound<'_, PyAny>,
        ts_recv: &Bound<'_, PyAny>,
        connection: &Bound<'_, PyAny>,
        places: &Bound<'_, PyAny>,
        chunks: &Bound<'_, PyAny>,
    ) -> PyResult<PyOutput> {
        let rows = Rows::new(channels, channel, ts_recv, connection, places, chunks)?;
        let output = self.normalizer.run_detached(py, rows.large(), |normalizer| {
            Ok::<_, WireError>(normalizer.batch(&rows.batch(epoch, first, &rows.chunks.views())?))
        })??;
        PyOutput::new(py, output)
    }

    // Python names them all.
    #[allow(clippy::too_many_arguments)]
    fn touched(
        &mut self,
        py: Python<'_>,
        channels: Vec<(PyBackedStr, PyBackedStr)>,
        channel: &Bound<'_, PyAny>,
        ts_recv: &Bound<'_, PyAny>,
        connection: &Bound<'_, PyAny>,
        places: &Bound<'_, PyAny>,
        chunks: &Bound<'_, PyAny>,
        n: u32,
    ) -> PyResult<BTreeMap<usize, u64>> {
        let rows = Rows::new(channels, channel, ts_recv, connection, places, chunks)?;
        let masks = self.normalizer.run_detached(py, rows.large(), |normalizer| {
            rows.batch(0, 0, &rows.chunks.views()).map(|batch| normalizer.touched(&batch, n))
        })???;
        Ok(masks.into_iter().enumerate().filter(|(_, mask)| *mask != 0).collect())
    }

    #[pyo3(signature = (all = false))]
    fn flush<'py>(&mut self, py: Python<'py>, all: bool) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let (data, commands) = self.normalizer.run_detached(py, true, |normalizer| normalizer.flush(all))?;
        Ok((PyBytes::new(py, &data), commands))
    }

    fn checkpoint<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = self.normalizer.run_detached(py, true, Normalizer::checkpoint)?;
        let found = PyDict::new(py);
        for (field, value) in fields {
            found.set_item(PyBytes::new(py, &field), PyBytes::new(py, &value))?;
        }
        Ok(found)
    }

    fn retell(&mut self, py: Python<'_>, ts_recv: u64) -> PyResult<PyOutput> {
        let output = self.normalizer.run_detached(py, true, |normalizer| normalizer.retell(ts_recv))?;
        PyOutput::new(py, output)
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
