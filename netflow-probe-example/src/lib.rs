//! A NetFlow exporter and a NetFlow collector built from `netflow-codec` and `netflow-flowcache`.
