//! Opus files as a whole: joined, cut at every step, and before the judges that others use.
#![cfg(test)]

#[cfg(test)]
mod opus_crash;
#[cfg(test)]
mod opus_files;
#[cfg(test)]
mod opus_seams;
#[cfg(test)]
mod support;
