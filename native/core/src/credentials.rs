//! Where credentials come from, and the resolved target of a call.
