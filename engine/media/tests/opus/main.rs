//! Opus files as a whole: joined, cut at every step, and before the judges that others use.
#![cfg(test)]

#[cfg(test)]
mod crash;
#[cfg(test)]
mod files;
#[cfg(test)]
mod seams;
#[cfg(test)]
mod support;
