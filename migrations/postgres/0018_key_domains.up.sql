-- The domains on which a key may create links, and the domain of creates that name none. NULL: all
-- domains of the owner, and the default domain.
ALTER TABLE api_keys
    ADD COLUMN domains text[] COLLATE "C",
    ADD COLUMN default_domain text COLLATE "C";
