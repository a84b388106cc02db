-- A sample of what databases hold; run again after an interruption it starts over.
DROP DATABASE IF EXISTS {{ database }};
DROP DATABASE IF EXISTS {{ database }}_catalog;
CREATE DATABASE {{ database }} CHARACTER SET utf8mb4;
CREATE DATABASE {{ database }}_catalog CHARACTER SET utf8mb4;

-- Nobody logs in with these passwords, so nobody needs to know them.
CREATE ROLE IF NOT EXISTS reporting;
GRANT SELECT ON {{ database }}.* TO reporting;
EXECUTE IMMEDIATE CONCAT('CREATE OR REPLACE USER application@''%'' IDENTIFIED BY ''', UUID(), ''' WITH MAX_USER_CONNECTIONS 50');
EXECUTE IMMEDIATE CONCAT('CREATE OR REPLACE USER analyst@localhost IDENTIFIED BY ''', UUID(), '''');
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {{ database }}.* TO application@'%';
GRANT reporting TO analyst@localhost;

USE {{ database }};
CREATE TABLE customers (
    id     INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    name   VARCHAR(100) NOT NULL,
    email  VARCHAR(100) NOT NULL UNIQUE,
    city   VARCHAR(60) NOT NULL,
    extra  JSON,
    joined TIMESTAMP NOT NULL,
    KEY (city)
);
INSERT INTO customers (name, email, city, extra, joined)
SELECT
    CONCAT(ELT(1 + seq MOD 6, 'Ada', 'Björn', 'Chloé', 'Łucja', 'Ngũgĩ', '美咲'), ' ', LEFT(MD5(seq), 8)),
    CONCAT('customer', seq, '@example.org'),
    ELT(1 + seq MOD 5, 'Zürich', 'São Paulo', '東京', 'Reykjavík', 'Québec'),
    JSON_OBJECT('tier', seq MOD 4, 'smile', '🙂'),
    '2024-03-01 00:00:00' + INTERVAL seq * 11 MINUTE
FROM seq_1_to_{{ rows // 4 }};

CREATE TABLE orders (
    id       INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    customer INT UNSIGNED NOT NULL,
    status   ENUM('new', 'paid', 'sent', 'returned') NOT NULL,
    total    DECIMAL(12, 2) NOT NULL,
    note     TEXT,
    placed   DATETIME(6) NOT NULL,
    changed  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    FOREIGN KEY (customer) REFERENCES customers (id),
    KEY (placed)
);
INSERT INTO orders (customer, status, total, note, placed)
SELECT
    1 + seq MOD {{ rows // 4 }}, 1 + seq MOD 4, (seq MOD 100000) / 100,
    IF(seq MOD 5 = 0, CONCAT('livré à la porte nº ', seq), NULL),
    '2025-01-01 00:00:00.000001' + INTERVAL seq * 7 MINUTE
FROM seq_1_to_{{ rows }};

CREATE TABLE order_items (
    order_id   INT UNSIGNED NOT NULL,
    line       TINYINT UNSIGNED NOT NULL,
    sku        CHAR(10) NOT NULL,
    quantity   SMALLINT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id, line),
    FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
);
INSERT INTO order_items
SELECT orders.id, line.seq, CONCAT('SKU-', LPAD((orders.id * line.seq) MOD {{ rows // 10 }}, 6, '0')), 1 + orders.id MOD 9
FROM orders JOIN seq_1_to_3 AS line;

CREATE TABLE documents (
    id       INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    customer INT UNSIGNED NOT NULL,
    title    VARCHAR(100) NOT NULL,
    scan     LONGBLOB NOT NULL,
    stored   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (customer) REFERENCES customers (id)
);
INSERT INTO documents (customer, title, scan) SELECT seq, CONCAT('Scan ', seq), RANDOM_BYTES(1024) FROM seq_1_to_400;
UPDATE documents SET scan = REPEAT(scan, 64);

CREATE TABLE status_changes (
    order_id INT UNSIGNED NOT NULL,
    status   VARCHAR(20) NOT NULL,
    changed  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    KEY (order_id)
);
CREATE VIEW revenue AS
SELECT DATE_FORMAT(placed, '%Y-%m') AS month, SUM(total) AS amount FROM orders WHERE status <> 'returned' GROUP BY 1;
CREATE TRIGGER orders_status AFTER UPDATE ON orders FOR EACH ROW
INSERT INTO status_changes (order_id, status) SELECT NEW.id, NEW.status WHERE NEW.status <> OLD.status;
CREATE PROCEDURE pay(IN wanted INT UNSIGNED) MODIFIES SQL DATA UPDATE orders SET status = 'paid' WHERE id = wanted;
CREATE FUNCTION items_of(wanted INT UNSIGNED) RETURNS INT READS SQL DATA
RETURN (SELECT COUNT(*) FROM order_items WHERE order_id = wanted);
CREATE EVENT forget_old_changes ON SCHEDULE EVERY 1 DAY DO
DELETE FROM status_changes WHERE changed < NOW() - INTERVAL 1 YEAR;
CALL pay(1);

USE {{ database }}_catalog;
CREATE TABLE articles (
    sku     CHAR(10) PRIMARY KEY,
    label   VARCHAR(100) NOT NULL,
    price   DECIMAL(10, 2) NOT NULL,
    digest  BINARY(20) NOT NULL,
    changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO articles (sku, label, price, digest)
SELECT CONCAT('SKU-', LPAD(seq, 6, '0')), CONCAT('Article “', seq, '”'), seq / 10, UNHEX(SHA1(seq)) FROM seq_1_to_{{ rows // 10 }};

ALTER DATABASE {{ database }} COMMENT 'lab data';
