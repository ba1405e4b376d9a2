//! Upload of inputs and outputs.
