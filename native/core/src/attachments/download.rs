//! Download of inputs and outputs.
