-- Which node holds a lease: work of a node that is gone is taken over at once, not when its lease ends.
ALTER TABLE due_work ADD COLUMN lease_owner INTEGER;
