/*M!999999\- enable the sandbox mode */ 

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
DROP TABLE IF EXISTS `effects`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `effects` (
  `order_id` varchar(36) NOT NULL,
  `what` varchar(40) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `effects` WRITE;
/*!40000 ALTER TABLE `effects` DISABLE KEYS */;
INSERT INTO `effects` VALUES ('01a227ff-574f-75c2-a0c4-6e7513bce6a9','begun');
INSERT INTO `effects` VALUES ('01a227ff-574f-75c2-a0c4-6e7513bce6a9','done');
INSERT INTO `effects` VALUES ('01a227ff-5fa8-74cc-9bd9-ec73427fb644','begun');
INSERT INTO `effects` VALUES ('01a227ff-5fa8-74cc-9bd9-ec73427fb644','done');
INSERT INTO `effects` VALUES ('01a227ff-9220-75c6-9c65-f9ab22db94b9','begun');
INSERT INTO `effects` VALUES ('01a227ff-93fe-76a3-934f-e850e2a9e12f','begun');
/*!40000 ALTER TABLE `effects` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_act_seals`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_act_seals` (
  `id` int(11) NOT NULL,
  `sealed_at` datetime(6) NOT NULL,
  `last_id` bigint(20) NOT NULL,
  `digests` longtext NOT NULL,
  `previous` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `hash` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_act_seals` WRITE;
/*!40000 ALTER TABLE `kernel_act_seals` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_act_seals` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_acts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_acts` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `at` datetime(6) NOT NULL,
  `actor` varchar(200) NOT NULL,
  `via` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `address` varchar(255) DEFAULT NULL,
  `key_prefix` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `verb` varchar(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `target` varchar(255) NOT NULL,
  `before` longtext DEFAULT NULL,
  `after` longtext DEFAULT NULL,
  `reason` varchar(500) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_acts_actor` (`actor`),
  KEY `ix_kernel_acts_at` (`at`),
  KEY `ix_kernel_acts_target` (`target`),
  KEY `ix_kernel_acts_verb` (`verb`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_acts` WRITE;
/*!40000 ALTER TABLE `kernel_acts` DISABLE KEYS */;
INSERT INTO `kernel_acts` VALUES (1,'2026-11-29 15:48:55.898236','root','cli','old-host',NULL,'caller.add','caller zammad',NULL,'{\"callback_hosts\": [], \"callback_nets\": [], \"key\": {\"expires_at\": \"2027-11-29 15:48:55.744747+00:00\", \"prefix\": \"kwo_GT3h95f2\", \"scopes\": [\"orders:read\", \"orders:write\"]}, \"listed\": false, \"schedule\": null}',NULL);
INSERT INTO `kernel_acts` VALUES (2,'2026-11-29 15:49:01.673736','root','cli','old-host',NULL,'caller.add','caller otrs',NULL,'{\"callback_hosts\": [], \"callback_nets\": [], \"key\": {\"expires_at\": \"2027-11-29 15:49:01.563287+00:00\", \"prefix\": \"kwo_CefV1PY4\", \"scopes\": [\"orders:read\", \"orders:write\"]}, \"listed\": false, \"schedule\": null}',NULL);
INSERT INTO `kernel_acts` VALUES (3,'2026-11-29 15:49:06.220127','root','cli','old-host',NULL,'key.add','caller zammad',NULL,'{\"expires_at\": \"2027-11-29 15:49:06.148993+00:00\", \"prefix\": \"kwo_Ej4DRXQT\", \"scopes\": [\"operator\"]}',NULL);
INSERT INTO `kernel_acts` VALUES (4,'2026-11-29 15:49:43.198166','root','cli','old-host',NULL,'receiver.add','receiver otrs desk',NULL,'{\"ca\": false, \"credentials\": {\"headers\": [\"X-Desk\"]}, \"draft\": false, \"terms\": {}, \"url\": \"http://127.0.0.1:@PORT@/otrs/desk/\"}',NULL);
INSERT INTO `kernel_acts` VALUES (5,'2026-11-29 15:49:48.426096','root','cli','old-host',NULL,'schedule.add','schedule yearly',NULL,'{\"caller\": \"zammad\", \"catch_up\": 3600, \"cron\": \"0 0 29 2 *\", \"select_tag\": \"work\", \"zone\": \"UTC\"}',NULL);
INSERT INTO `kernel_acts` VALUES (6,'2026-11-29 15:49:51.008207','zammad','api','127.0.0.1','kwo_GT3h95f2','order.cancel','order 01a227ff-94f1-7dc2-a6e8-664bcfdac724','{\"state\": \"pending\"}','{\"cancel_requested\": true, \"state\": \"cancelled\"}',NULL);
/*!40000 ALTER TABLE `kernel_acts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_alembic_version`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_alembic_version` WRITE;
/*!40000 ALTER TABLE `kernel_alembic_version` DISABLE KEYS */;
INSERT INTO `kernel_alembic_version` VALUES ('0033');
/*!40000 ALTER TABLE `kernel_alembic_version` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_annotations`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_annotations` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `kind` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `subject` varchar(400) NOT NULL,
  `began_at` datetime(6) NOT NULL,
  `ended_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_annotations_began_at` (`began_at`),
  KEY `ix_kernel_annotations_kind_ended_at` (`kind`,`ended_at`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_annotations` WRITE;
/*!40000 ALTER TABLE `kernel_annotations` DISABLE KEYS */;
INSERT INTO `kernel_annotations` VALUES (1,'start','0.1.0 on old-host','2026-11-29 15:49:38.765240',NULL);
/*!40000 ALTER TABLE `kernel_annotations` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_api_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_api_keys` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `prefix` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `key_hash` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `scopes` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  `revoked_at` datetime(6) DEFAULT NULL,
  `used_at` datetime(6) DEFAULT NULL,
  `tags` text DEFAULT NULL,
  `networks` text DEFAULT NULL,
  `person_id` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_api_keys_key_hash` (`key_hash`),
  KEY `ix_kernel_api_keys_caller_id` (`caller_id`),
  KEY `ix_kernel_api_keys_person_id` (`person_id`),
  CONSTRAINT `fk_kernel_api_keys_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_api_keys` WRITE;
/*!40000 ALTER TABLE `kernel_api_keys` DISABLE KEYS */;
INSERT INTO `kernel_api_keys` VALUES (1,2,'kwo_GT3h95f2','99d0f68c098a5bb8e64fb49d848110a9721ba8eef4222f20562ecc189c38c40f','orders:read orders:write','2026-11-29 15:48:55.744747','2027-11-29 15:48:55.744747',NULL,'2026-11-29 15:49:35.126026',NULL,NULL,NULL);
INSERT INTO `kernel_api_keys` VALUES (2,3,'kwo_CefV1PY4','c1a04a67277f3f10d201411bd7a8d7c3eb13ebe4bcff12beb346d9b4a28bb2fa','orders:read orders:write','2026-11-29 15:49:01.563287','2027-11-29 15:49:01.563287',NULL,'2026-11-29 15:49:35.268143',NULL,NULL,NULL);
INSERT INTO `kernel_api_keys` VALUES (3,2,'kwo_Ej4DRXQT','a1116796359ac86e7766ec34bc264ea958dc9478fa16f833735692021f0a8b19','operator','2026-11-29 15:49:06.148993','2027-11-29 15:49:06.148993',NULL,NULL,NULL,NULL,NULL);
/*!40000 ALTER TABLE `kernel_api_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_attempts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_attempts` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `delivery_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `number` int(11) NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `duration_ms` int(11) NOT NULL,
  `status` int(11) DEFAULT NULL,
  `reason` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `phases` varchar(255) NOT NULL,
  `excerpt` varchar(1000) DEFAULT NULL,
  `judged` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_attempts_delivery_id` (`delivery_id`),
  KEY `ix_kernel_attempts_started_at_reason` (`started_at`,`reason`),
  CONSTRAINT `fk_kernel_attempts_delivery_id` FOREIGN KEY (`delivery_id`) REFERENCES `kernel_deliveries` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_attempts` WRITE;
/*!40000 ALTER TABLE `kernel_attempts` DISABLE KEYS */;
INSERT INTO `kernel_attempts` VALUES (1,'01a227ff-5c1b-7651-b996-b8640ee500d2',1,'2026-11-29 15:49:36.533237',490,200,NULL,'{\"connect\": 0.3, \"send\": 0.2, \"wait\": 34.5, \"read\": 0.1}','',NULL);
INSERT INTO `kernel_attempts` VALUES (2,'01a227ff-5e76-7516-bdb2-74e7a67d9ff3',1,'2026-11-29 15:49:37.097024',29,200,NULL,'{\"send\": 0.1, \"wait\": 28.0, \"read\": 0.1}','',NULL);
INSERT INTO `kernel_attempts` VALUES (3,'01a227ff-5f13-78c8-b779-191209d2d94f',1,'2026-11-29 15:49:37.268863',13,200,NULL,'{\"send\": 11.7, \"wait\": 0.3, \"read\": 0.1}','',NULL);
INSERT INTO `kernel_attempts` VALUES (4,'01a227ff-6087-716c-88ce-d24beae90d90',1,'2026-11-29 15:49:37.580497',17,503,'http_5xx','{\"send\": 0.1, \"wait\": 16.5, \"read\": 0.1}','',NULL);
INSERT INTO `kernel_attempts` VALUES (5,'01a227ff-6131-7f26-bd5e-38aa30a32898',1,'2026-11-29 15:49:37.786526',9,503,'http_5xx','{\"send\": 7.6, \"wait\": 0.3, \"read\": 0.1}','',NULL);
/*!40000 ALTER TABLE `kernel_attempts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_bulk_jobs`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_bulk_jobs` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `kind` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `wanted` longtext NOT NULL,
  `again` tinyint(1) NOT NULL DEFAULT 0,
  `reshaped` tinyint(1) NOT NULL DEFAULT 0,
  `rate` int(11) DEFAULT NULL,
  `actor` varchar(200) NOT NULL,
  `via` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `address` varchar(255) DEFAULT NULL,
  `key_prefix` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `reason` varchar(500) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `counted` int(11) DEFAULT NULL,
  `counted_all` tinyint(1) NOT NULL DEFAULT 0,
  `until_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `place` varchar(100) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `done` int(11) NOT NULL DEFAULT 0,
  `left_out` int(11) NOT NULL DEFAULT 0,
  `next_at` datetime(6) NOT NULL,
  `claim_token` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `lease_until` datetime(6) DEFAULT NULL,
  `last_error` varchar(500) DEFAULT NULL,
  `failures` int(11) NOT NULL DEFAULT 0,
  `finished_at` datetime(6) DEFAULT NULL,
  `ended_by` varchar(200) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_bulk_jobs_state_next_at` (`state`,`next_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_bulk_jobs` WRITE;
/*!40000 ALTER TABLE `kernel_bulk_jobs` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_bulk_jobs` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_bulk_left`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_bulk_left` (
  `job_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `item_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `code` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `said` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`job_id`,`item_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_bulk_left` WRITE;
/*!40000 ALTER TABLE `kernel_bulk_left` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_bulk_left` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_callers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_callers` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `allow_nets` text NOT NULL,
  `allow_hosts` text NOT NULL,
  `headers` text NOT NULL,
  `schedule` text DEFAULT NULL,
  `is_listed` tinyint(1) NOT NULL DEFAULT 0,
  `has_receivers` tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_callers_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_callers` WRITE;
/*!40000 ALTER TABLE `kernel_callers` DISABLE KEYS */;
INSERT INTO `kernel_callers` VALUES (1,'anonymous','2026-11-29 15:48:45.568229','[]','[]','{}',NULL,0,0);
INSERT INTO `kernel_callers` VALUES (2,'zammad','2026-11-29 15:48:55.744747','[]','[]','{}',NULL,0,0);
INSERT INTO `kernel_callers` VALUES (3,'otrs','2026-11-29 15:49:01.563287','[]','[]','{}',NULL,0,1);
/*!40000 ALTER TABLE `kernel_callers` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_conditions`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_conditions` (
  `key` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `subject` varchar(400) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `severity` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `since` datetime(6) NOT NULL,
  `ended_at` datetime(6) DEFAULT NULL,
  `said` longtext NOT NULL,
  PRIMARY KEY (`key`,`subject`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_conditions` WRITE;
/*!40000 ALTER TABLE `kernel_conditions` DISABLE KEYS */;
INSERT INTO `kernel_conditions` VALUES ('no_worker','','critical','2026-11-29 15:49:37.960373','2026-11-29 15:49:39.912538','No worker is alive: orders are accepted and wait (0 due).');
/*!40000 ALTER TABLE `kernel_conditions` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_counts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_counts` (
  `width` smallint(6) NOT NULL,
  `kind` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `name` varchar(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `began_at` datetime(6) NOT NULL,
  `accepted` int(11) NOT NULL,
  `finished` int(11) NOT NULL,
  `attempts` int(11) NOT NULL,
  `delivered` int(11) NOT NULL,
  `dead` int(11) NOT NULL,
  `states` text NOT NULL,
  `reasons` text NOT NULL,
  `took` text NOT NULL,
  `queued` text NOT NULL,
  `ran` text NOT NULL,
  `delivered_in` text NOT NULL,
  `answered_in` text NOT NULL,
  PRIMARY KEY (`width`,`kind`,`name`,`began_at`),
  KEY `ix_kernel_counts_width_began_at` (`width`,`began_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_counts` WRITE;
/*!40000 ALTER TABLE `kernel_counts` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_counts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_deliveries`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_deliveries` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `origin` varchar(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `body` longblob NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `next_attempt_at` datetime(6) NOT NULL,
  `is_retry` tinyint(1) NOT NULL,
  `claim_token` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `attempt` int(11) NOT NULL,
  `tries` int(11) NOT NULL,
  `client_errors` int(11) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  `died_of` varchar(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `shapes_until` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_deliveries_caller_id_id` (`caller_id`,`id`),
  KEY `ix_kernel_deliveries_order_id` (`order_id`),
  KEY `ix_kernel_deliveries_state_finished_at` (`state`,`finished_at`),
  KEY `ix_kernel_deliveries_lane_next_attempt_at` (`state`,`is_retry`,`caller_id`,`origin`,`next_attempt_at`),
  CONSTRAINT `fk_kernel_deliveries_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`),
  CONSTRAINT `fk_kernel_deliveries_order_id` FOREIGN KEY (`order_id`) REFERENCES `kernel_orders` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_deliveries` WRITE;
/*!40000 ALTER TABLE `kernel_deliveries` DISABLE KEYS */;
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-5c1b-7651-b996-b8640ee500d2','01a227ff-574f-75c2-a0c4-6e7513bce6a9',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/told',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766662D353734662D373563322D613063342D366537353133626365366139222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A22746F6C64227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A33352E3138383038305A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A33362E3431313339355A227D7D,'2026-11-29 15:49:36.430977','delivered','2026-11-29 15:50:21.430977',1,NULL,1,1,0,'2026-11-29 15:49:38.923295',NULL,0);
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-5e76-7516-bdb2-74e7a67d9ff3','01a227ff-578f-7743-8c90-e44af3191ada',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/built',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766662D353738662D373734332D386339302D653434616633313931616461222C2273656C6563745F746167223A226372656174655F70726F6A656374222C227374617465223A2273756363657373222C22726573756C74223A7B2270726F6A6E616D65223A22E6A1A5227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A33352E3235303237365A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A33372E3031343331385A227D7D,'2026-11-29 15:49:37.032684','delivered','2026-11-29 15:50:22.032684',1,NULL,1,1,0,'2026-11-29 15:49:38.923295',NULL,0);
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-5f13-78c8-b779-191209d2d94f','01a227ff-57ac-73a9-b5fc-008f9186a3ea',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/refused',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766662D353761632D373361392D623566632D303038663931383661336561222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A33352E3237393335345A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A33372E3137313534395A227D7D,'2026-11-29 15:49:37.249509','delivered','2026-11-29 15:50:22.249509',1,NULL,1,1,0,'2026-11-29 15:49:38.923295',NULL,0);
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-6087-716c-88ce-d24beae90d90','01a227ff-5fa8-74cc-9bd9-ec73427fb644',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/owed',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766662D356661382D373463632D396264392D656337333432376662363434222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A226F776564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A33372E3332333032375A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A33372E3534333038395A227D7D,'2026-11-29 15:49:37.547852','pending','2026-11-29 15:50:41.728685',1,NULL,1,1,0,NULL,NULL,0);
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-6131-7f26-bd5e-38aa30a32898','01a227ff-5fd1-7e39-a19a-33797c469f41',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/owed-too',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766662D356664312D376533392D613139612D333337393763343639663431222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A33372E3336343537335A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A33372E3731333934375A227D7D,'2026-11-29 15:49:37.754744','pending','2026-11-29 15:50:40.186184',1,NULL,1,1,0,NULL,NULL,0);
INSERT INTO `kernel_deliveries` VALUES ('01a227ff-9512-71ef-b3a4-3652be0ea7b5','01a227ff-94f1-7dc2-a6e8-664bcfdac724',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/cancelled',0x7B22737461747573223A2D312C226D7367223A2263616E63656C6C6564222C2264617461223A7B226F726465725F6964223A2230316132323766662D393466312D376463322D613665382D363634626366646163373234222C2273656C6563745F746167223A22776F726B222C227374617465223A2263616E63656C6C6564222C226572726F72223A7B22636F6465223A2263616E63656C6C6564222C226D657373616765223A2263616E63656C6C6564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34393A35302E3936343639365A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34393A35302E3939343132315A227D7D,'2026-11-29 15:49:51.006580','pending','2026-11-29 15:49:51.006580',0,NULL,0,0,0,NULL,NULL,1);
/*!40000 ALTER TABLE `kernel_deliveries` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_drained_hosts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_drained_hosts` (
  `host` varchar(255) NOT NULL,
  `since` datetime(6) NOT NULL,
  `by_whom` varchar(200) NOT NULL,
  `why` varchar(500) DEFAULT NULL,
  PRIMARY KEY (`host`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_drained_hosts` WRITE;
/*!40000 ALTER TABLE `kernel_drained_hosts` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_drained_hosts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_error_hours`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_error_hours` (
  `fingerprint` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `began_at` datetime(6) NOT NULL,
  `number` int(11) NOT NULL,
  PRIMARY KEY (`fingerprint`,`began_at`),
  KEY `ix_kernel_error_hours_began_at` (`began_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_error_hours` WRITE;
/*!40000 ALTER TABLE `kernel_error_hours` DISABLE KEYS */;
INSERT INTO `kernel_error_hours` VALUES ('4ab8ad439a261347','2026-11-29 15:00:00.000000',2);
/*!40000 ALTER TABLE `kernel_error_hours` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_errors`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_errors` (
  `fingerprint` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `select_tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `error_type` varchar(255) DEFAULT NULL,
  `place` varchar(255) DEFAULT NULL,
  `error_code` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `is_refusal` tinyint(1) NOT NULL,
  `first_seen` datetime(6) NOT NULL,
  `last_seen` datetime(6) NOT NULL,
  `number` int(11) NOT NULL,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `run` int(11) NOT NULL,
  `is_open` tinyint(1) NOT NULL,
  `new_at` datetime(6) NOT NULL,
  `resolved_at` datetime(6) DEFAULT NULL,
  `resolved_by` varchar(200) DEFAULT NULL,
  `resolved_because` varchar(500) DEFAULT NULL,
  PRIMARY KEY (`fingerprint`),
  KEY `ix_kernel_errors_is_open_last_seen_fingerprint` (`is_open`,`last_seen`,`fingerprint`),
  KEY `ix_kernel_errors_last_seen_fingerprint` (`last_seen`,`fingerprint`),
  KEY `ix_kernel_errors_new_at` (`new_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_errors` WRITE;
/*!40000 ALTER TABLE `kernel_errors` DISABLE KEYS */;
INSERT INTO `kernel_errors` VALUES ('4ab8ad439a261347','refuse',NULL,NULL,'no_such_thing',1,'2026-11-29 15:49:37.219966','2026-11-29 15:49:37.750079',2,'01a227ff-5fd1-7e39-a19a-33797c469f41',1,1,'2026-11-29 15:49:37.219966',NULL,NULL,NULL);
/*!40000 ALTER TABLE `kernel_errors` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_events`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_events` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `data` longtext NOT NULL,
  `told_key` varchar(260) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `told_by` varchar(200) NOT NULL,
  `told_at` datetime(6) NOT NULL,
  `is_used` tinyint(1) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_events_order_id_told_key` (`order_id`,`told_key`),
  KEY `ix_kernel_events_order_id_id` (`order_id`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_events` WRITE;
/*!40000 ALTER TABLE `kernel_events` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_events` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_gates`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_gates` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `opens_at` datetime(6) DEFAULT NULL,
  `closes_at` datetime(6) DEFAULT NULL,
  `waiting_for` varchar(255) DEFAULT NULL,
  `waiting_since` datetime(6) DEFAULT NULL,
  `wakes_at` datetime(6) DEFAULT NULL,
  `ordering_key` varchar(255) DEFAULT NULL,
  `place` bigint(20) DEFAULT NULL,
  `parent_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `rerun_of` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `accepted_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`order_id`),
  KEY `ix_kernel_gates_caller_id_opens_at` (`caller_id`,`opens_at`),
  KEY `ix_kernel_gates_closes_at` (`closes_at`),
  KEY `ix_kernel_gates_wakes_at` (`wakes_at`),
  KEY `ix_kernel_gates_caller_id_waiting_for_order_id` (`caller_id`,`waiting_for`,`order_id`),
  KEY `ix_kernel_gates_caller_id_ordering_key_place` (`caller_id`,`ordering_key`,`place`),
  KEY `ix_kernel_gates_parent_id_order_id` (`parent_id`,`order_id`),
  KEY `ix_kernel_gates_ordering_key_caller_id_order_id` (`ordering_key`,`caller_id`,`order_id`),
  KEY `ix_kernel_gates_waiting_for_accepted_at_order_id` (`waiting_for`,`accepted_at`,`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_gates` WRITE;
/*!40000 ALTER TABLE `kernel_gates` DISABLE KEYS */;
INSERT INTO `kernel_gates` VALUES ('01a227ff-91f5-7649-aeeb-edec6d1b23b9',2,'2099-01-01 00:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `kernel_gates` VALUES ('01a227ff-9220-75c6-9c65-f9ab22db94b9',2,NULL,NULL,'event:approved','2026-11-29 15:49:50.609465','2026-12-29 15:49:50.500449',NULL,NULL,NULL,NULL,NULL);
/*!40000 ALTER TABLE `kernel_gates` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_installation`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_installation` (
  `id` int(11) NOT NULL,
  `name` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_installation` WRITE;
/*!40000 ALTER TABLE `kernel_installation` DISABLE KEYS */;
INSERT INTO `kernel_installation` VALUES (1,'6c538155','2026-11-29 15:49:15.131176');
/*!40000 ALTER TABLE `kernel_installation` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_keys` (
  `caller_id` int(11) NOT NULL,
  `ordering_key` varchar(255) NOT NULL,
  `tail` bigint(20) NOT NULL,
  `holder` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  PRIMARY KEY (`caller_id`,`ordering_key`),
  KEY `ix_kernel_keys_holder` (`holder`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_keys` WRITE;
/*!40000 ALTER TABLE `kernel_keys` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_limit_lines`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_limit_lines` (
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `value` varchar(64) NOT NULL,
  `free_at` datetime(6) DEFAULT NULL,
  `turn` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `is_wanted` tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (`tag`,`value`),
  KEY `ix_kernel_limit_lines_is_wanted` (`is_wanted`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_limit_lines` WRITE;
/*!40000 ALTER TABLE `kernel_limit_lines` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_limit_lines` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_limits`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_limits` (
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `concurrency` smallint(6) DEFAULT NULL,
  `rate` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `set_at` datetime(6) NOT NULL,
  PRIMARY KEY (`tag`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_limits` WRITE;
/*!40000 ALTER TABLE `kernel_limits` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_limits` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_minutes`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_minutes` (
  `began_at` datetime(6) NOT NULL,
  `accepted` int(11) NOT NULL,
  `finished` int(11) NOT NULL,
  `attempts` int(11) NOT NULL,
  `delivered` int(11) NOT NULL,
  `took` text NOT NULL,
  PRIMARY KEY (`began_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_minutes` WRITE;
/*!40000 ALTER TABLE `kernel_minutes` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_minutes` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_notices`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_notices` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `receiver` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `conditions` text NOT NULL,
  `recovers` tinyint(1) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_notices_name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_notices` WRITE;
/*!40000 ALTER TABLE `kernel_notices` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_notices` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_orders`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_orders` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `select_tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `args` longtext NOT NULL,
  `callback_url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `idempotency_key` varchar(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `fingerprint` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `request_id` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `traceparent` varchar(55) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `run_after` datetime(6) NOT NULL,
  `run` int(11) NOT NULL,
  `checkpoint` int(11) NOT NULL,
  `crashes` int(11) NOT NULL,
  `lease_until` datetime(6) DEFAULT NULL,
  `connection_id` bigint(20) DEFAULT NULL,
  `cancel_requested_at` datetime(6) DEFAULT NULL,
  `progress_current` bigint(20) DEFAULT NULL,
  `progress_total` bigint(20) DEFAULT NULL,
  `progress_note` varchar(1000) DEFAULT NULL,
  `run_state` longtext DEFAULT NULL,
  `started_at` datetime(6) DEFAULT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  `message` varchar(1000) DEFAULT NULL,
  `result` longtext DEFAULT NULL,
  `error_code` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `broken` smallint(6) NOT NULL DEFAULT 0,
  `timeouts` smallint(6) NOT NULL DEFAULT 0,
  `retries` int(11) NOT NULL DEFAULT 0,
  `runner` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `reference` varchar(255) DEFAULT NULL,
  `secret_args` longtext DEFAULT NULL,
  `is_original` tinyint(1) DEFAULT NULL,
  `not_before` datetime(6) DEFAULT NULL,
  `not_after` datetime(6) DEFAULT NULL,
  `gates` smallint(6) DEFAULT NULL,
  `priority` smallint(6) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_orders_caller_id_idempotency_key` (`caller_id`,`idempotency_key`),
  KEY `ix_kernel_orders_caller_id_id` (`caller_id`,`id`),
  KEY `ix_kernel_orders_finished_at` (`finished_at`),
  KEY `ix_kernel_orders_state_id` (`state`,`id`),
  KEY `ix_kernel_orders_state_select_tag_id` (`state`,`select_tag`,`id`),
  KEY `ix_kernel_orders_caller_id_state_select_tag_id` (`caller_id`,`state`,`select_tag`,`id`),
  KEY `ix_kernel_orders_state_caller_id_priority_run_after` (`state`,`caller_id`,`priority`,`run_after`),
  CONSTRAINT `fk_kernel_orders_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_orders` WRITE;
/*!40000 ALTER TABLE `kernel_orders` DISABLE KEYS */;
INSERT INTO `kernel_orders` VALUES ('01a227ff-574f-75c2-a0c4-6e7513bce6a9',2,'work','{\"name\":\"told\"}','http://127.0.0.1:@PORT@/zammad/told','key-told','6b79e6aba050e8fbfc73129fff68838dbb4134b712078cee19e24a8f36674a4c','51204cf60345f7a1d842ed50a3f9fde0',NULL,'2026-11-29 15:49:35.188080','success','2026-11-29 15:49:35.188080',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:49:36.067927','2026-11-29 15:49:36.411395','success','{\"name\":\"told\"}',NULL,0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-578f-7743-8c90-e44af3191ada',2,'create_project','{\"projname\":\"桥\",\"prodesc\":\"一期\"}','http://127.0.0.1:@PORT@/zammad/built','key-built','6058c9156a0bb25178781468c60bf689d7f0eaa77f43831a6dcc92ca5a8ba032','3dfc5e9b631d1a54073e1f8c85ea57fd',NULL,'2026-11-29 15:49:35.250276','success','2026-11-29 15:49:35.250276',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:36.845472','2026-11-29 15:49:37.014318','success','{\"projname\":\"桥\"}',NULL,0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-57ac-73a9-b5fc-008f9186a3ea',3,'refuse','{\"name\":\"refused\"}','http://127.0.0.1:@PORT@/otrs/refused','key-refused','d847971ba822a4159e28ff89515bb4d985948e4eaa7826ee1a632bc9215f003f','49955e7d2fbccd26f70ac68fe4c11d89',NULL,'2026-11-29 15:49:35.279354','failed','2026-11-29 15:49:35.279354',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:37.102062','2026-11-29 15:49:37.171549','there is no such thing',NULL,'no_such_thing',0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-5fa8-74cc-9bd9-ec73427fb644',2,'work','{\"name\":\"owed\"}','http://127.0.0.1:@PORT@/zammad/owed','key-owed','a29d03f79d7fe46bb65feb3479f381b9c109c18803a086e2092e28d15691e699','a4440b2b6a470e17a1a62cd5b079ad17',NULL,'2026-11-29 15:49:37.323027','success','2026-11-29 15:49:37.323027',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:49:37.377880','2026-11-29 15:49:37.543089','success','{\"name\":\"owed\"}',NULL,0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-5fd1-7e39-a19a-33797c469f41',3,'refuse','{\"name\":\"owed-too\"}','http://127.0.0.1:@PORT@/otrs/owed-too','key-owed-too','0762a9df1b590969476933ec079aa84cbb5020e9fce574be48d87bded0f7e242','5208b6c8096b03c53dad963506fd95e2',NULL,'2026-11-29 15:49:37.364573','failed','2026-11-29 15:49:37.364573',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:37.636144','2026-11-29 15:49:37.713947','there is no such thing',NULL,'no_such_thing',0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-91f5-7649-aeeb-edec6d1b23b9',2,'work','{\"name\":\"window\"}','http://127.0.0.1:@PORT@/zammad/window','key-window','273dd176f2454d5f7aa303b9381acee597e734a3aeaa9fb898c9bcb510c1fdae','e828bf12204e4830de2b2f1915aed5f4',NULL,'2026-11-29 15:49:50.203903','pending','2099-01-01 00:00:00.000000',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,'2099-01-01 00:00:00.000000',NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-9220-75c6-9c65-f9ab22db94b9',2,'approve','{\"name\":\"approval\"}','http://127.0.0.1:@PORT@/zammad/approval','key-approval','bc26dd21cb02d2a5d3aa74e57194e86e91c1c53f8057cbb46fec660f85719d6a','b8f644e23e661f9ea73f156de47fee0c',NULL,'2026-11-29 15:49:50.244395','waiting','2026-11-29 15:49:50.244395',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:50.370300',NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,64,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-93c4-7570-b84f-814adba5319e',2,'later','{\"name\":\"later\"}','http://127.0.0.1:@PORT@/zammad/later','key-later','6820366dfbda08e14ca3a55b2016909de4f9cc47d7713006adea621e5242b021','84d2ea4c1905f56eb2aeadde1142fdeb',NULL,'2026-11-29 15:49:50.663082','pending','2026-11-29 15:49:55.816539',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:50.693568',NULL,NULL,NULL,NULL,0,0,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-93fe-76a3-934f-e850e2a9e12f',3,'work','{\"name\":\"running\",\"hold\":true}','http://127.0.0.1:@PORT@/otrs/running','key-running','4dc872161c4142c1f02381550906328a605af983f848670f2450242defa53dfc','c15bf352ebe3f2561762bedb5feddc04',NULL,'2026-11-29 15:49:50.721184','running','2026-11-29 15:49:50.721184',1,1,0,'2026-11-29 15:49:53.919302',66,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:49:50.839029',NULL,NULL,NULL,NULL,0,0,0,'01a227ff58fd67d6053d1cd1',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94a6-7441-8455-548c356f08ea',2,'work','{\"name\":\"pending-0\"}','http://127.0.0.1:@PORT@/zammad/pending-0','key-pending-0','6b218f5d5690c08dac9c0863fd6d10c698af58cd37d54d08bd01267188fd1dc4','02006863f0db85bf565e93040555a64d',NULL,'2026-11-29 15:49:50.889277','pending','2026-11-29 15:49:50.889277',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94b3-7cb4-94de-3abdcaf4a440',3,'work','{\"name\":\"pending-1\"}','http://127.0.0.1:@PORT@/otrs/pending-1','key-pending-1','ccf8b3b20aeced2d4a32441a1d88362c19417df7e5d885230dd11fe44f6a1ec2','9c36f78e3c258a1bb4369282ccce9e36',NULL,'2026-11-29 15:49:50.902543','pending','2026-11-29 15:49:50.902543',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94bf-78b4-9289-04317e1bd3e2',2,'work','{\"name\":\"pending-2\"}','http://127.0.0.1:@PORT@/zammad/pending-2','key-pending-2','5eb5e1d9f9be77fe167343816f22cc80c890d543ba243a5ec09233e6017044fe','1f650d38ff7e6f8e1cddd48b2d6f2daf',NULL,'2026-11-29 15:49:50.917770','pending','2026-11-29 15:49:50.917770',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94d0-7302-9ced-8be6aeb60fbd',3,'work','{\"name\":\"pending-3\"}','http://127.0.0.1:@PORT@/otrs/pending-3','key-pending-3','f35dfea784a6155425d5b54f8f40f3de1c15a94ec7a179da80ab7e8eaf2fbb11','b93a9501c7ff6c7c44bb5feabf61e53e',NULL,'2026-11-29 15:49:50.930878','pending','2026-11-29 15:49:50.930878',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94dc-7c7a-9002-d3068cb8ee45',2,'work','{\"name\":\"pending-4\"}','http://127.0.0.1:@PORT@/zammad/pending-4','key-pending-4','ade13c4b23e4f2a5ecfea68e7041f10ca93a8dfd7f4ba899d33797ce1473edb7','08d460f35cd777abb9c2d15afb7df2e5',NULL,'2026-11-29 15:49:50.943824','pending','2026-11-29 15:49:50.943824',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO `kernel_orders` VALUES ('01a227ff-94f1-7dc2-a6e8-664bcfdac724',2,'work','{\"name\":\"cancelled\"}','http://127.0.0.1:@PORT@/zammad/cancelled','key-cancelled','164047cb02c9c31987463e4edfbc8a5b6d6b0b7ce9209922781b58b38c11e14a','0e441998ac66ce51a7ed8a578ff8ee2e',NULL,'2026-11-29 15:49:50.964696','cancelled','2026-11-29 15:49:50.964696',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:49:50.994121','cancelled',NULL,'cancelled',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
/*!40000 ALTER TABLE `kernel_orders` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_pauses`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_pauses` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `host` varchar(300) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `caller_id` int(11) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `reason` varchar(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `receiver_id` int(11) DEFAULT NULL,
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `orders_of` int(11) DEFAULT NULL,
  `until` datetime(6) DEFAULT NULL,
  `by_whom` varchar(200) DEFAULT NULL,
  `why` varchar(500) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_pauses_caller_id` (`caller_id`),
  UNIQUE KEY `uq_kernel_pauses_host` (`host`),
  UNIQUE KEY `ix_kernel_pauses_receiver_id` (`receiver_id`),
  UNIQUE KEY `ix_kernel_pauses_tag` (`tag`),
  UNIQUE KEY `ix_kernel_pauses_orders_of` (`orders_of`),
  CONSTRAINT `fk_kernel_pauses_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_pauses` WRITE;
/*!40000 ALTER TABLE `kernel_pauses` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_pauses` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_people`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_people` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) NOT NULL,
  `role` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `issuer` varchar(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `subject` varchar(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `disabled_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_people_name` (`name`),
  UNIQUE KEY `uq_kernel_people_issuer_subject` (`issuer`,`subject`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_people` WRITE;
/*!40000 ALTER TABLE `kernel_people` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_people` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_process_metrics`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_process_metrics` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `written_at` datetime(6) NOT NULL,
  `series` longtext NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_process_metrics` WRITE;
/*!40000 ALTER TABLE `kernel_process_metrics` DISABLE KEYS */;
INSERT INTO `kernel_process_metrics` VALUES ('01a227ff-2069-79d2-b0a0-7b64b81422bc','2026-11-29 15:49:51.039093','[[\"kernel_http_requests_total\", [\"GET\", \"/healthz\", \"200\"], [2.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/healthz\"], [0.004144745999838051, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"work\"], [10.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders\", \"202\"], [15.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders\"], [0.30384068800049135, 0.0, 4.0, 7.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"create_project\"], [1.0]], [\"kernel_orders_accepted_total\", [\"refuse\"], [2.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"202\"], [83.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/v1/orders/<order_id>\"], [1.323868291999588, 2.0, 10.0, 70.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"200\"], [5.0]], [\"kernel_orders_accepted_total\", [\"approve\"], [1.0]], [\"kernel_orders_accepted_total\", [\"later\"], [1.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders/<order_id>/cancel\", \"200\"], [1.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders/<order_id>/cancel\"], [0.049988968999969075, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]');
INSERT INTO `kernel_process_metrics` VALUES ('01a227ff-65be-7828-be90-ac74fe2e00bd','2026-11-29 15:49:43.923887','[[\"kernel_runs_total\", [\"work\", \"success\"], [2.0]], [\"kernel_run_seconds\", [\"work\"], [0.3012967980000667, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"work\"], [1.5636139999999998, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_runs_total\", [\"create_project\", \"success\"], [1.0]], [\"kernel_run_seconds\", [\"create_project\"], [0.07377894499995818, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"create_project\"], [1.809272, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_runs_total\", [\"refuse\", \"failed\"], [2.0]], [\"kernel_run_seconds\", [\"refuse\"], [0.19003923699983716, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"refuse\"], [2.410259, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_attempts_total\", [\"delivered\"], [3.0]], [\"kernel_attempt_seconds\", [], [0.558, 0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_deliveries_finished_total\", [\"delivered\"], [3.0]], [\"kernel_attempts_total\", [\"http_5xx\"], [2.0]]]');
/*!40000 ALTER TABLE `kernel_process_metrics` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_receivers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_receivers` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `origin` varchar(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `is_draft` tinyint(1) NOT NULL,
  `credentials` longtext NOT NULL,
  `ca_pem` longtext DEFAULT NULL,
  `terms` text NOT NULL,
  `rate_free_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_receivers_caller_id_name` (`caller_id`,`name`),
  CONSTRAINT `fk_kernel_receivers_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_receivers` WRITE;
/*!40000 ALTER TABLE `kernel_receivers` DISABLE KEYS */;
INSERT INTO `kernel_receivers` VALUES (1,3,'desk','http://127.0.0.1:@PORT@/otrs/desk/','http://127.0.0.1:@PORT@',0,'{\"headers\": {\"X-Desk\": \"secret\"}}',NULL,'{}',NULL,'2026-11-29 15:49:43.043834');
/*!40000 ALTER TABLE `kernel_receivers` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_references`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_references` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `reference` varchar(255) NOT NULL,
  PRIMARY KEY (`order_id`),
  KEY `ix_kernel_references_reference_caller_id_order_id` (`reference`,`caller_id`,`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_references` WRITE;
/*!40000 ALTER TABLE `kernel_references` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_references` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_refused_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_refused_keys` (
  `minute` datetime(6) NOT NULL,
  `network` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `prefix` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `count` bigint(20) NOT NULL,
  PRIMARY KEY (`minute`,`network`,`prefix`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_refused_keys` WRITE;
/*!40000 ALTER TABLE `kernel_refused_keys` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_refused_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_reruns`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_reruns` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `new_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `job_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `made_at` datetime(6) NOT NULL,
  PRIMARY KEY (`order_id`),
  KEY `ix_kernel_reruns_job_id_order_id` (`job_id`,`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_reruns` WRITE;
/*!40000 ALTER TABLE `kernel_reruns` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_reruns` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_run_marks`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_run_marks` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `run` int(11) NOT NULL,
  PRIMARY KEY (`order_id`,`run`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_run_marks` WRITE;
/*!40000 ALTER TABLE `kernel_run_marks` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_run_marks` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_runs`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_runs` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `run` int(11) NOT NULL,
  `began_at` datetime(6) DEFAULT NULL,
  `ended_at` datetime(6) NOT NULL,
  `runner` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `host` varchar(255) DEFAULT NULL,
  `pid` int(11) DEFAULT NULL,
  `how` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `error_code` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `reason` varchar(1000) DEFAULT NULL,
  `error_type` varchar(255) DEFAULT NULL,
  `place` varchar(255) DEFAULT NULL,
  `message` varchar(1000) DEFAULT NULL,
  `traceback` longtext DEFAULT NULL,
  `fingerprint` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `is_counted` tinyint(1) NOT NULL,
  PRIMARY KEY (`order_id`,`run`),
  KEY `ix_kernel_runs_fingerprint_order_id` (`fingerprint`,`order_id`),
  KEY `ix_kernel_runs_is_counted_ended_at` (`is_counted`,`ended_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_runs` WRITE;
/*!40000 ALTER TABLE `kernel_runs` DISABLE KEYS */;
INSERT INTO `kernel_runs` VALUES ('01a227ff-57ac-73a9-b5fc-008f9186a3ea',1,'2026-11-29 15:49:37.102062','2026-11-29 15:49:37.219966','01a227ff58fd67d6053d1cd1',NULL,NULL,'failed','no_such_thing','there is no such thing',NULL,NULL,NULL,NULL,'4ab8ad439a261347',1);
INSERT INTO `kernel_runs` VALUES ('01a227ff-5fd1-7e39-a19a-33797c469f41',1,'2026-11-29 15:49:37.636144','2026-11-29 15:49:37.750079','01a227ff58fd67d6053d1cd1',NULL,NULL,'failed','no_such_thing','there is no such thing',NULL,NULL,NULL,NULL,'4ab8ad439a261347',1);
INSERT INTO `kernel_runs` VALUES ('01a227ff-9220-75c6-9c65-f9ab22db94b9',1,'2026-11-29 15:49:50.370300','2026-11-29 15:49:50.564811','01a227ff58fd67d6053d1cd1','old-host',24785,'wait',NULL,'event:approved',NULL,NULL,NULL,NULL,NULL,1);
INSERT INTO `kernel_runs` VALUES ('01a227ff-93c4-7570-b84f-814adba5319e',1,'2026-11-29 15:49:50.693568','2026-11-29 15:49:50.803109','01a227ff58fd67d6053d1cd1','old-host',24785,'retry',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1);
/*!40000 ALTER TABLE `kernel_runs` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_schedules`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_schedules` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `cron` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `zone` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `select_tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `args` longtext NOT NULL,
  `callback_url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `reference` varchar(255) DEFAULT NULL,
  `catch_up` int(11) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `paused_at` datetime(6) DEFAULT NULL,
  `next_at` datetime(6) DEFAULT NULL,
  `last_at` datetime(6) DEFAULT NULL,
  `last_order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `last_error` varchar(500) DEFAULT NULL,
  `failed_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_schedules_name` (`name`),
  KEY `ix_kernel_schedules_caller_id` (`caller_id`),
  KEY `ix_kernel_schedules_next_at` (`next_at`),
  CONSTRAINT `fk_kernel_schedules_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_schedules` WRITE;
/*!40000 ALTER TABLE `kernel_schedules` DISABLE KEYS */;
INSERT INTO `kernel_schedules` VALUES (1,'yearly',2,'0 0 29 2 *','UTC','work','{}','http://127.0.0.1:@PORT@/zammad/yearly',NULL,3600,'2026-11-29 15:49:48.425247',NULL,'2028-02-29 00:00:00.000000',NULL,NULL,NULL,NULL);
/*!40000 ALTER TABLE `kernel_schedules` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_select_tags`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_select_tags` (
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`tag`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_select_tags` WRITE;
/*!40000 ALTER TABLE `kernel_select_tags` DISABLE KEYS */;
INSERT INTO `kernel_select_tags` VALUES ('approve','2026-11-29 15:49:36.401433');
INSERT INTO `kernel_select_tags` VALUES ('create_project','2026-11-29 15:49:36.093266');
INSERT INTO `kernel_select_tags` VALUES ('family','2026-11-29 15:49:36.582262');
INSERT INTO `kernel_select_tags` VALUES ('later','2026-11-29 15:49:36.342611');
INSERT INTO `kernel_select_tags` VALUES ('refuse','2026-11-29 15:49:36.270769');
INSERT INTO `kernel_select_tags` VALUES ('steps','2026-11-29 15:49:36.478733');
INSERT INTO `kernel_select_tags` VALUES ('work','2026-11-29 15:49:36.159527');
/*!40000 ALTER TABLE `kernel_select_tags` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_service_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_service_keys` (
  `id` int(11) NOT NULL,
  `secret` varchar(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_service_keys` WRITE;
/*!40000 ALTER TABLE `kernel_service_keys` DISABLE KEYS */;
INSERT INTO `kernel_service_keys` VALUES (1,'dffa124ab1b6da112473b63cc2308d88f79ff97b62cdcbbee1ba24aaaaf70745','2026-11-29 15:49:35.143413');
/*!40000 ALTER TABLE `kernel_service_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_sessions`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_sessions` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `token_hash` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `person_id` int(11) DEFAULT NULL,
  `key_id` int(11) DEFAULT NULL,
  `address` varchar(64) NOT NULL,
  `agent` varchar(255) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_sessions_token_hash` (`token_hash`),
  KEY `ix_kernel_sessions_key_id` (`key_id`),
  KEY `ix_kernel_sessions_person_id` (`person_id`),
  CONSTRAINT `fk_kernel_sessions_key_id` FOREIGN KEY (`key_id`) REFERENCES `kernel_api_keys` (`id`),
  CONSTRAINT `fk_kernel_sessions_person_id` FOREIGN KEY (`person_id`) REFERENCES `kernel_people` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_sessions` WRITE;
/*!40000 ALTER TABLE `kernel_sessions` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_sessions` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_shapes`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_shapes` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `receiver_id` int(11) NOT NULL,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `shape` longtext DEFAULT NULL,
  `variables` text NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_shapes_caller_id_id` (`caller_id`,`id`),
  CONSTRAINT `fk_kernel_shapes_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_shapes` WRITE;
/*!40000 ALTER TABLE `kernel_shapes` DISABLE KEYS */;
INSERT INTO `kernel_shapes` VALUES (1,3,1,'desk','http://127.0.0.1:@PORT@/otrs/desk/','{}','{}','2026-11-29 15:49:43.043834');
/*!40000 ALTER TABLE `kernel_shapes` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_shares`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_shares` (
  `caller_id` int(11) NOT NULL,
  `max_running` int(11) NOT NULL,
  PRIMARY KEY (`caller_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_shares` WRITE;
/*!40000 ALTER TABLE `kernel_shares` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_shares` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_signing_secrets`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_signing_secrets` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `secret` varchar(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_signing_secrets_caller_id` (`caller_id`),
  CONSTRAINT `fk_kernel_signing_secrets_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_signing_secrets` WRITE;
/*!40000 ALTER TABLE `kernel_signing_secrets` DISABLE KEYS */;
INSERT INTO `kernel_signing_secrets` VALUES (1,1,'whsec_e+tdhWnUby9V/LyzWzQRBhJrdyteMyQsO49jku4bnPw=','2026-11-29 15:48:45.568229',NULL);
INSERT INTO `kernel_signing_secrets` VALUES (2,2,'whsec_C9IIPjfw0eQ1NBZa1UU7cp7YPQVZQB4yByG/Sj941EI=','2026-11-29 15:48:55.744747',NULL);
INSERT INTO `kernel_signing_secrets` VALUES (3,3,'whsec_GwGQwzUl00UdQoFyQElPC//I41uohj6rG9SZZDOBXdA=','2026-11-29 15:49:01.563287',NULL);
/*!40000 ALTER TABLE `kernel_signing_secrets` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_slots`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_slots` (
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `value` varchar(64) NOT NULL,
  `number` int(11) NOT NULL,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  `run` int(11) NOT NULL DEFAULT 0,
  `is_wanted` tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (`tag`,`value`,`number`),
  KEY `ix_kernel_slots_order_id` (`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_slots` WRITE;
/*!40000 ALTER TABLE `kernel_slots` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_slots` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_steps`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_steps` (
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `number` smallint(6) NOT NULL,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `attempts` smallint(6) NOT NULL,
  `again` smallint(6) NOT NULL DEFAULT 0,
  `started_at` datetime(6) NOT NULL,
  `duration_ms` bigint(20) DEFAULT NULL,
  `error` varchar(1000) DEFAULT NULL,
  `done_at` datetime(6) DEFAULT NULL,
  `result` longtext DEFAULT NULL,
  `secret_result` longtext DEFAULT NULL,
  PRIMARY KEY (`order_id`,`number`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_steps` WRITE;
/*!40000 ALTER TABLE `kernel_steps` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_steps` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_sweeps`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_sweeps` (
  `id` int(11) NOT NULL,
  `swept_at` datetime(6) NOT NULL,
  `unbroken_since` datetime(6) DEFAULT NULL,
  `unbroken_until` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_sweeps` WRITE;
/*!40000 ALTER TABLE `kernel_sweeps` DISABLE KEYS */;
INSERT INTO `kernel_sweeps` VALUES (1,'2026-11-29 15:49:50.332922','2026-11-29 15:49:36.738791','2026-11-29 15:49:50.332922');
/*!40000 ALTER TABLE `kernel_sweeps` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_told`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_told` (
  `notice_id` int(11) NOT NULL,
  `key` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `subject` varchar(400) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `since` datetime(6) NOT NULL,
  `told_at` datetime(6) NOT NULL,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `recovered_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`notice_id`,`key`,`subject`,`since`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_told` WRITE;
/*!40000 ALTER TABLE `kernel_told` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_told` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_workers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_workers` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `host` varchar(255) NOT NULL,
  `pid` int(11) NOT NULL,
  `kind` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  `running` text NOT NULL,
  `broken` text NOT NULL,
  `probing` text DEFAULT NULL,
  `version` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `pool` varchar(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `runs` longtext DEFAULT NULL,
  `quiet` tinyint(1) DEFAULT NULL,
  `asked` varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `asked_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_workers` WRITE;
/*!40000 ALTER TABLE `kernel_workers` DISABLE KEYS */;
INSERT INTO `kernel_workers` VALUES ('01a227ff58fd67d6053d1cd1','old-host',24785,'worker','2026-11-29 15:49:38.623924','2026-11-29 15:49:49.242336','','','','0.1.0','prefork','[]',0,NULL,NULL);
/*!40000 ALTER TABLE `kernel_workers` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `project_tb_project`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `project_tb_project` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `projname` varchar(255) NOT NULL,
  `prodesc` text NOT NULL,
  `projctime` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `project_tb_project` WRITE;
/*!40000 ALTER TABLE `project_tb_project` DISABLE KEYS */;
INSERT INTO `project_tb_project` VALUES (1,'桥','一期','2026-11-29 15:49:36.985630');
/*!40000 ALTER TABLE `project_tb_project` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

