-- A sample of what databases hold. psql variables: database, rows.
-- Run again after an interruption it starts over.
\set catalog :database _catalog
DROP DATABASE IF EXISTS :"database";
DROP DATABASE IF EXISTS :"catalog";
CREATE DATABASE :"database" TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE :"catalog" TEMPLATE template0 ENCODING 'UTF8';

-- Nobody logs in with these passwords, so nobody needs to know them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reporting') THEN
        CREATE ROLE reporting NOLOGIN;
        EXECUTE format('CREATE ROLE application LOGIN PASSWORD %L CONNECTION LIMIT 50', gen_random_uuid());
        EXECUTE format('CREATE ROLE analyst LOGIN PASSWORD %L VALID UNTIL ''infinity'' IN ROLE reporting', gen_random_uuid());
    END IF;
END
$$;

\connect :database
CREATE EXTENSION pg_trgm;
CREATE EXTENSION lo;

CREATE TABLE customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL UNIQUE,
    city       text NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    joined     timestamptz NOT NULL
);
INSERT INTO customers (name, email, city, attributes, joined)
SELECT
    (ARRAY['Ada', 'Björn', 'Chloé', 'Dmytro', 'Esra', 'Łucja', 'Ngũgĩ', '美咲'])[1 + i % 8] || ' ' || md5(i::text)::varchar(8),
    'customer' || i || '@example.org',
    (ARRAY['Zürich', 'São Paulo', '東京', 'Reykjavík', 'Nairobi', 'Québec'])[1 + i % 6],
    jsonb_build_object('tier', i % 4, 'newsletter', i % 3 = 0),
    timestamptz '2024-01-01 00:00+00' + i * interval '11 minutes'
FROM generate_series(1, :rows / 4) AS i;
CREATE INDEX customers_name ON customers USING gin (name gin_trgm_ops);

CREATE TABLE events (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    customer bigint NOT NULL REFERENCES customers,
    kind     text NOT NULL,
    amount   numeric(12, 2) NOT NULL CHECK (amount >= 0),
    note     text,
    happened timestamptz NOT NULL,
    PRIMARY KEY (happened, id)
) PARTITION BY RANGE (happened);
SELECT format(
    'CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
    'events_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month'
)
FROM generate_series(date '2025-01-01', date '2025-12-01', interval '1 month') AS month \gexec
INSERT INTO events (customer, kind, amount, note, happened)
SELECT
    1 + i % (:rows / 4),
    (ARRAY['order', 'payment', 'refund', 'delivery'])[1 + i % 4],
    (i % 100000) / 100.0,
    CASE WHEN i % 5 = 0 THEN 'délivré à la porte nº ' || i END,
    timestamptz '2025-01-02 00:00+00' + i * (interval '360 days' / :rows)
FROM generate_series(1, :rows) AS i;
CREATE INDEX events_customer ON events (customer);

CREATE TABLE documents (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    title    text NOT NULL,
    preview  bytea NOT NULL,
    scan     lo NOT NULL,
    stored   timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER documents_scan BEFORE UPDATE OR DELETE ON documents FOR EACH ROW EXECUTE FUNCTION lo_manage(scan);
INSERT INTO documents (customer, title, preview, scan)
SELECT i, 'Scan ' || i, decode(md5(i::text), 'hex'), lo_from_bytea(0, pages.content)
FROM generate_series(1, 100) AS i
CROSS JOIN LATERAL (
    SELECT string_agg(decode(md5(i || '-' || part), 'hex'), '' ORDER BY part) AS content FROM generate_series(1, 2048) AS part
) AS pages;

CREATE VIEW revenue AS
SELECT date_trunc('month', happened) AS month, sum(amount) AS amount FROM events WHERE kind = 'order' GROUP BY 1;
CREATE MATERIALIZED VIEW customers_by_city AS SELECT city, count(*) AS customers FROM customers GROUP BY city;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, events, documents TO application;

\connect :catalog
CREATE EXTENSION pgcrypto;
CREATE TABLE articles (
    sku     text PRIMARY KEY,
    label   text NOT NULL,
    price   numeric(10, 2) NOT NULL,
    digest  bytea NOT NULL,
    changed timestamptz NOT NULL DEFAULT now()
);
INSERT INTO articles (sku, label, price, digest)
SELECT 'SKU-' || to_char(i, 'FM000000'), 'Article “' || i || '”', i / 10.0, digest(i::text, 'sha256')
FROM generate_series(1, :rows / 10) AS i;
GRANT SELECT ON articles TO reporting, application;
