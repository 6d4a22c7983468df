//! The binding of the router.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::{decoded, joined, listed, Guarded, ROUTE_DETACHED};
use crate::router::Router;

/// A frame no route takes, with its place.
type Left<'py> = (usize, Bound<'py, PyBytes>);

#[pyclass(name = "Router", module = "tapeline_kernel")]
pub(super) struct PyRouter {
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
