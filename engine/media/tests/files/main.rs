//! Files as a whole: on a real file system, on a disk that fails, and cut at every step.
#![cfg(test)]

#[cfg(test)]
mod archive;
#[cfg(test)]
mod bwf;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod export;
#[cfg(test)]
mod flac;
#[cfg(test)]
mod flac_crash;
#[cfg(test)]
mod flac_mend;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod peaks;
#[cfg(test)]
mod support;
#[cfg(test)]
mod wav;
