-- What makes a head provable: its recipient's signature and the node's. NULL in heads that were recorded before this step.
ALTER TABLE receipt_heads ADD COLUMN signature BLOB;
ALTER TABLE receipt_heads ADD COLUMN countersignature BLOB;
