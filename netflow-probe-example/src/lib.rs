//! A NetFlow exporter and a NetFlow collector built from `netflow-codec` and `netflow-flowcache`.

#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "the library of two binaries: its users are built with it, and should hear of every new case"
)]

pub mod account;
pub mod attributes;
pub mod capture;
pub mod collector;
pub mod collector_cli;
pub mod config;
pub mod counting;
pub mod demo;
pub mod dissect;
pub mod elements;
pub mod enrichment;
pub mod explain;
pub mod exporter;
pub mod exporter_cli;
pub mod flow;
pub mod jobs;
pub mod messages;
pub mod meter;
pub mod output;
pub mod page;
pub mod pcap;
pub mod policy;
pub mod query;
pub mod receive;
pub mod relay;
pub mod send;
pub mod service;
pub mod store;
