DROP TABLE secrets;
DROP TABLE node_leases;
