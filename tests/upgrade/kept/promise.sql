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
INSERT INTO `effects` VALUES ('01a227fe-4539-7712-af2f-52ff02e8b124','begun');
INSERT INTO `effects` VALUES ('01a227fe-4539-7712-af2f-52ff02e8b124','done');
INSERT INTO `effects` VALUES ('01a227fe-54d1-7599-ad91-dd0ff28259d4','begun');
INSERT INTO `effects` VALUES ('01a227fe-54d1-7599-ad91-dd0ff28259d4','done');
INSERT INTO `effects` VALUES ('01a227fe-57ba-7851-9255-0ee3623655eb','begun');
/*!40000 ALTER TABLE `effects` ENABLE KEYS */;
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
INSERT INTO `kernel_alembic_version` VALUES ('0008');
/*!40000 ALTER TABLE `kernel_alembic_version` ENABLE KEYS */;
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
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_api_keys_key_hash` (`key_hash`),
  KEY `ix_kernel_api_keys_caller_id` (`caller_id`),
  CONSTRAINT `fk_kernel_api_keys_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_api_keys` WRITE;
/*!40000 ALTER TABLE `kernel_api_keys` DISABLE KEYS */;
INSERT INTO `kernel_api_keys` VALUES (1,2,'kwo_XJdLiMSw','6eb0e0cf0bf14a5d1809d8e142cc0194d2cd59bf37b13667584f319c30311975','orders:read orders:write','2026-11-29 15:47:55.501415',NULL,NULL,'2026-11-29 15:48:24.950063');
INSERT INTO `kernel_api_keys` VALUES (2,3,'kwo_ZKOiqS3K','5ac73ea800a6202647468a42a4ea1e1a11d56aaade57cfc8be12aa9b36776098','orders:read orders:write','2026-11-29 15:47:59.652817',NULL,NULL,'2026-11-29 15:48:25.138970');
INSERT INTO `kernel_api_keys` VALUES (3,2,'kwo_ujMQ3uzW','d79a440976bd4e9765c4852ffc442223d27d151418672ac2cbe94b118b44f44d','operator','2026-11-29 15:48:04.187416',NULL,NULL,NULL);
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
  PRIMARY KEY (`id`),
  KEY `ix_kernel_attempts_delivery_id` (`delivery_id`),
  KEY `ix_kernel_attempts_started_at_reason` (`started_at`,`reason`),
  CONSTRAINT `fk_kernel_attempts_delivery_id` FOREIGN KEY (`delivery_id`) REFERENCES `kernel_deliveries` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_attempts` WRITE;
/*!40000 ALTER TABLE `kernel_attempts` DISABLE KEYS */;
INSERT INTO `kernel_attempts` VALUES (1,'01a227fe-52a3-703d-b53d-be2e883cdd15',1,'2026-11-29 15:48:28.593838',41,200,NULL,'{\"connect\": 0.1, \"send\": 0.2, \"wait\": 10.0, \"read\": 0.1}','');
INSERT INTO `kernel_attempts` VALUES (2,'01a227fe-5069-7662-a5e3-ea7c21643d1f',1,'2026-11-29 15:48:27.981802',764,200,NULL,'{\"connect\": 116.6, \"send\": 0.1, \"wait\": 27.5, \"read\": 0.1}','');
INSERT INTO `kernel_attempts` VALUES (3,'01a227fe-5416-776c-9145-3263306611d7',1,'2026-11-29 15:48:28.961603',33,200,NULL,'{\"send\": 6.7, \"wait\": 25.9, \"read\": 0.1}','');
INSERT INTO `kernel_attempts` VALUES (4,'01a227fe-5611-705e-8c26-d039d50f54c7',1,'2026-11-29 15:48:29.396474',78,503,'http_5xx','{\"send\": 0.2, \"wait\": 55.9, \"read\": 0.1}','');
INSERT INTO `kernel_attempts` VALUES (5,'01a227fe-573d-79fb-a9fc-7e91e46905af',1,'2026-11-29 15:48:29.653121',61,503,'http_5xx','{\"send\": 0.2, \"wait\": 18.4, \"read\": 0.1}','');
/*!40000 ALTER TABLE `kernel_attempts` ENABLE KEYS */;
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
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_callers_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_callers` WRITE;
/*!40000 ALTER TABLE `kernel_callers` DISABLE KEYS */;
INSERT INTO `kernel_callers` VALUES (1,'anonymous','2026-11-29 15:47:50.071930','[]','[]','{}',NULL);
INSERT INTO `kernel_callers` VALUES (2,'zammad','2026-11-29 15:47:55.501415','[]','[]','{}',NULL);
INSERT INTO `kernel_callers` VALUES (3,'otrs','2026-11-29 15:47:59.652817','[]','[]','{}',NULL);
/*!40000 ALTER TABLE `kernel_callers` ENABLE KEYS */;
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
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-5069-7662-a5e3-ea7c21643d1f','01a227fe-4539-7712-af2f-52ff02e8b124',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/told',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766652D343533392D373731322D616632662D353266663032653862313234222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A22746F6C64227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A32352E3031373434325A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A32372E3838313339395A227D7D,'2026-11-29 15:48:27.881399','delivered','2026-11-29 15:49:12.881313',1,NULL,1,1,0,'2026-11-29 15:48:29.128886',NULL);
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-52a3-703d-b53d-be2e883cdd15','01a227fe-4572-723d-be89-71ad4d9b196a',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/built',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766652D343537322D373233642D626538392D373161643464396231393661222C2273656C6563745F746167223A226372656174655F70726F6A656374222C227374617465223A2273756363657373222C22726573756C74223A7B2270726F6A6E616D65223A22E6A1A5227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A32352E3037343134305A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A32382E3435313031355A227D7D,'2026-11-29 15:48:28.451015','delivered','2026-11-29 15:49:13.450991',1,NULL,1,1,0,'2026-11-29 15:48:29.128886',NULL);
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-5416-776c-9145-3263306611d7','01a227fe-45b6-7d7c-8c94-047938333fce',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/refused',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766652D343562362D376437632D386339342D303437393338333333666365222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A32352E3134323834335A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A32382E3832323436345A227D7D,'2026-11-29 15:48:28.822464','delivered','2026-11-29 15:49:13.822439',1,NULL,1,1,0,'2026-11-29 15:48:29.128886',NULL);
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-5611-705e-8c26-d039d50f54c7','01a227fe-54d1-7599-ad91-dd0ff28259d4',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/owed',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766652D353464312D373539392D616439312D646430666632383235396434222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A226F776564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A32392E3030393335305A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A32392E3332393032335A227D7D,'2026-11-29 15:48:29.329023','pending','2026-11-29 15:49:33.159971',1,NULL,1,1,0,NULL,NULL);
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-573d-79fb-a9fc-7e91e46905af','01a227fe-54fb-7f4f-a350-3fe97d2d43a8',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/owed-too',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766652D353466622D376634662D613335302D336665393764326434336138222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A32392E3035313935375A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A32392E3632393632345A227D7D,'2026-11-29 15:48:29.629624','pending','2026-11-29 15:49:31.643032',1,NULL,1,1,0,NULL,NULL);
INSERT INTO `kernel_deliveries` VALUES ('01a227fe-5a75-7cbc-947d-0e39d991ac29','01a227fe-5a62-7600-83ea-70e2d529c986',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/cancelled',0x7B22737461747573223A2D312C226D7367223A2263616E63656C6C6564222C2264617461223A7B226F726465725F6964223A2230316132323766652D356136322D373630302D383365612D373065326435323963393836222C2273656C6563745F746167223A22776F726B222C227374617465223A2263616E63656C6C6564222C226572726F72223A7B22636F6465223A2263616E63656C6C6564222C226D657373616765223A2263616E63656C6C6564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34383A33302E3433343337355A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34383A33302E3435333739365A227D7D,'2026-11-29 15:48:30.453796','pending','2026-11-29 15:48:30.453796',0,NULL,0,0,0,NULL,NULL);
/*!40000 ALTER TABLE `kernel_deliveries` ENABLE KEYS */;
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
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_orders_caller_id_idempotency_key` (`caller_id`,`idempotency_key`),
  KEY `ix_kernel_orders_caller_id_id` (`caller_id`,`id`),
  KEY `ix_kernel_orders_finished_at` (`finished_at`),
  KEY `ix_kernel_orders_state_id` (`state`,`id`),
  KEY `ix_kernel_orders_state_run_after` (`state`,`run_after`),
  KEY `ix_kernel_orders_state_select_tag_id` (`state`,`select_tag`,`id`),
  KEY `ix_kernel_orders_caller_id_state_select_tag_id` (`caller_id`,`state`,`select_tag`,`id`),
  CONSTRAINT `fk_kernel_orders_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_orders` WRITE;
/*!40000 ALTER TABLE `kernel_orders` DISABLE KEYS */;
INSERT INTO `kernel_orders` VALUES ('01a227fe-4539-7712-af2f-52ff02e8b124',2,'work','{\"name\":\"told\"}','http://127.0.0.1:@PORT@/zammad/told','key-told','478a4f0ce40af26f7e19c6c289f4c1021f473d84b3d35cca75d9edf119663a3f','daa6414a4c7b745779486cc720d24c51',NULL,'2026-11-29 15:48:25.017442','success','2026-11-29 15:48:25.017442',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:48:26.940796','2026-11-29 15:48:27.881399','success','{\"name\":\"told\"}',NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-4572-723d-be89-71ad4d9b196a',2,'create_project','{\"projname\":\"桥\",\"prodesc\":\"一期\"}','http://127.0.0.1:@PORT@/zammad/built','key-built','326262932ce9b1f83e89f027aad0026bab0fbed6429dda8805de1fcf5d8c3769','394ddfa293d7c1e94a9a0446a0ee2808',NULL,'2026-11-29 15:48:25.074140','success','2026-11-29 15:48:25.074140',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:48:28.239474','2026-11-29 15:48:28.451015','success','{\"projname\":\"桥\"}',NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-45b6-7d7c-8c94-047938333fce',3,'refuse','{\"name\":\"refused\"}','http://127.0.0.1:@PORT@/otrs/refused','key-refused','900e7c29d17a10a7e2c65f85f7db77a62495a51bc46483f6ec06d7c2baaae02e','48301508316e021cd270439ff54816fd',NULL,'2026-11-29 15:48:25.142843','failed','2026-11-29 15:48:25.142843',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:48:28.672437','2026-11-29 15:48:28.822464','there is no such thing',NULL,'no_such_thing',0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-54d1-7599-ad91-dd0ff28259d4',2,'work','{\"name\":\"owed\"}','http://127.0.0.1:@PORT@/zammad/owed','key-owed','e83e5904ee66ae0998ab359513a9f9f658781d75f788eef8966171016f8fb219','eb187d39f42da2afd178c86ca9025c47',NULL,'2026-11-29 15:48:29.009350','success','2026-11-29 15:48:29.009350',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:48:29.065016','2026-11-29 15:48:29.329023','success','{\"name\":\"owed\"}',NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-54fb-7f4f-a350-3fe97d2d43a8',3,'refuse','{\"name\":\"owed-too\"}','http://127.0.0.1:@PORT@/otrs/owed-too','key-owed-too','da7097e2917a1449c680caa04d9007d17b5e7d59cf0341fdaa5ff3da951e2250','027e0ee8409822313628e4f37bbc50d2',NULL,'2026-11-29 15:48:29.051957','failed','2026-11-29 15:48:29.051957',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:48:29.461893','2026-11-29 15:48:29.629624','there is no such thing',NULL,'no_such_thing',0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-578b-71d7-b580-1cc0416a8fe0',2,'later','{\"name\":\"later\"}','http://127.0.0.1:@PORT@/zammad/later','key-later','a32d373ea34de531a7bf1c127cf00f4d2ca2f0b1f31dcbe110edf98866c4e864','4911009798c9a67007687b2f63f781a7',NULL,'2026-11-29 15:48:29.707115','pending','2026-11-29 15:48:35.121038',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:48:29.814920',NULL,NULL,NULL,NULL,0,0,1);
INSERT INTO `kernel_orders` VALUES ('01a227fe-57ba-7851-9255-0ee3623655eb',3,'work','{\"name\":\"running\",\"hold\":true}','http://127.0.0.1:@PORT@/otrs/running','key-running','4d80dd9c4cb1fea5f3c4801111d3b0167d105f0980652ca177828820721614c1','474a312747ee593dc6133e464dff6442',NULL,'2026-11-29 15:48:29.754520','running','2026-11-29 15:48:29.754520',1,1,0,'2026-11-29 15:48:33.336639',43,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:48:30.221508',NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-59f7-7b06-9071-8fa331c3176f',2,'work','{\"name\":\"pending-0\"}','http://127.0.0.1:@PORT@/zammad/pending-0','key-pending-0','8a28ddf9a57d974513e7722bf32ea9fbedc0cfa9b05ce8c416ea6f5bd59a50d0','8b9e81822cedb3874c92d40f8183eab0',NULL,'2026-11-29 15:48:30.327689','pending','2026-11-29 15:48:30.327689',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-5a1c-7c7a-a5be-b6c9f248f31b',3,'work','{\"name\":\"pending-1\"}','http://127.0.0.1:@PORT@/otrs/pending-1','key-pending-1','56e90c232cb6e7f60b9e23c988408e5df7f0873c54c44d12aebe8dbdc210bef9','ae83a16492d739d4f4d07de4a26b2585',NULL,'2026-11-29 15:48:30.364780','pending','2026-11-29 15:48:30.364780',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-5a36-7635-925a-7807974b12bd',2,'work','{\"name\":\"pending-2\"}','http://127.0.0.1:@PORT@/zammad/pending-2','key-pending-2','a62e53259d6fe7af0831b7fc38419edaff10b586f01971dfa61543c2e673f508','c9785965338b3be603d363023e9c594e',NULL,'2026-11-29 15:48:30.390388','pending','2026-11-29 15:48:30.390388',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-5a40-786e-905a-4f9d38103e6f',3,'work','{\"name\":\"pending-3\"}','http://127.0.0.1:@PORT@/otrs/pending-3','key-pending-3','4171086a837759683d164600b5dc24ba57a2cb0f4c5fe8b4e7426cd5d458986e','f5c2f4a9c6da8aa710a86d266b24ef34',NULL,'2026-11-29 15:48:30.400527','pending','2026-11-29 15:48:30.400527',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-5a52-70a3-8b4f-562def018ba0',2,'work','{\"name\":\"pending-4\"}','http://127.0.0.1:@PORT@/zammad/pending-4','key-pending-4','caca9202bfd4d6a03b06ca8504658c2d0cb09b7e77157cde0c642274e1553dae','a20c6afcdaa01ddcc0ae2da854ded046',NULL,'2026-11-29 15:48:30.418040','pending','2026-11-29 15:48:30.418040',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0);
INSERT INTO `kernel_orders` VALUES ('01a227fe-5a62-7600-83ea-70e2d529c986',2,'work','{\"name\":\"cancelled\"}','http://127.0.0.1:@PORT@/zammad/cancelled','key-cancelled','562e01339fa0b7a614d5f29175830919f7aadfe1b338c1ec0a9723473b1b04bc','f6d079497f4f54b63b3e49c990017be8',NULL,'2026-11-29 15:48:30.434375','cancelled','2026-11-29 15:48:30.434375',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:48:30.453796','cancelled',NULL,'cancelled',0,0,0);
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
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_kernel_pauses_caller_id` (`caller_id`),
  UNIQUE KEY `uq_kernel_pauses_host` (`host`),
  CONSTRAINT `fk_kernel_pauses_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_pauses` WRITE;
/*!40000 ALTER TABLE `kernel_pauses` DISABLE KEYS */;
/*!40000 ALTER TABLE `kernel_pauses` ENABLE KEYS */;
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
INSERT INTO `kernel_process_metrics` VALUES ('01a227fe-248d-709f-82df-7655ac489ee9','2026-11-29 15:48:30.481451','[[\"kernel_http_requests_total\", [\"GET\", \"/healthz\", \"200\"], [1.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/healthz\"], [0.00017179500014208315, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"work\"], [9.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders\", \"202\"], [13.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders\"], [0.26385654799992153, 0.0, 4.0, 6.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"create_project\"], [1.0]], [\"kernel_orders_accepted_total\", [\"refuse\"], [2.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"202\"], [142.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/v1/orders/<order_id>\"], [1.9141681130006418, 15.0, 39.0, 85.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"200\"], [5.0]], [\"kernel_orders_accepted_total\", [\"later\"], [1.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders/<order_id>/cancel\", \"200\"], [1.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders/<order_id>/cancel\"], [0.03094380200013802, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]');
INSERT INTO `kernel_process_metrics` VALUES ('01a227fe-54d8-78ac-894a-c41ec6ccb9a6','2026-11-29 15:48:29.016542','[[\"kernel_runs_total\", [\"work\", \"success\"], [1.0]], [\"kernel_run_seconds\", [\"work\"], [0.1963967199999388, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"work\"], [2.95719, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_runs_total\", [\"create_project\", \"success\"], [1.0]], [\"kernel_run_seconds\", [\"create_project\"], [0.1916430290000335, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"create_project\"], [3.505548, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_runs_total\", [\"refuse\", \"failed\"], [1.0]], [\"kernel_run_seconds\", [\"refuse\"], [0.07779850500014618, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_order_seconds\", [\"refuse\"], [3.735282, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]');
/*!40000 ALTER TABLE `kernel_process_metrics` ENABLE KEYS */;
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
INSERT INTO `kernel_select_tags` VALUES ('create_project','2026-11-29 15:48:27.150235');
INSERT INTO `kernel_select_tags` VALUES ('later','2026-11-29 15:48:27.150235');
INSERT INTO `kernel_select_tags` VALUES ('refuse','2026-11-29 15:48:27.150235');
INSERT INTO `kernel_select_tags` VALUES ('work','2026-11-29 15:48:27.150235');
/*!40000 ALTER TABLE `kernel_select_tags` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_service_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_service_keys` (
  `id` int(11) NOT NULL,
  `secret` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_service_keys` WRITE;
/*!40000 ALTER TABLE `kernel_service_keys` DISABLE KEYS */;
INSERT INTO `kernel_service_keys` VALUES (1,'74dd3324135ea9141b89f5319275fdc6b20ce18d97c5a4bd283e9fa59081f11e','2026-11-29 15:48:24.996062');
/*!40000 ALTER TABLE `kernel_service_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `kernel_signing_secrets`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `kernel_signing_secrets` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `secret` varchar(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_kernel_signing_secrets_caller_id` (`caller_id`),
  CONSTRAINT `fk_kernel_signing_secrets_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `kernel_callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_signing_secrets` WRITE;
/*!40000 ALTER TABLE `kernel_signing_secrets` DISABLE KEYS */;
INSERT INTO `kernel_signing_secrets` VALUES (1,1,'whsec_fNdb0H+RZ616OjvrI52oDzQGbqGtwBPgLWtqW0F+MtY=','2026-11-29 15:47:50.071930',NULL);
INSERT INTO `kernel_signing_secrets` VALUES (2,2,'whsec_dQjqSs5/ZDeuppMDJmB2M3898BeXIDjDKGI9vvNr2LI=','2026-11-29 15:47:55.501415',NULL);
INSERT INTO `kernel_signing_secrets` VALUES (3,3,'whsec_b0Ve9Q5sGTmOLd25uw0Iyoeb4l6Jl3ldNcx8JIFfGhc=','2026-11-29 15:47:59.652817',NULL);
/*!40000 ALTER TABLE `kernel_signing_secrets` ENABLE KEYS */;
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
INSERT INTO `kernel_sweeps` VALUES (1,'2026-11-29 15:48:30.437841','2026-11-29 15:48:27.802723','2026-11-29 15:48:30.437841');
/*!40000 ALTER TABLE `kernel_sweeps` ENABLE KEYS */;
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
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `kernel_workers` WRITE;
/*!40000 ALTER TABLE `kernel_workers` DISABLE KEYS */;
INSERT INTO `kernel_workers` VALUES ('01a227fe-5424-7449-8e4e-6fc14c6611fa','old-host',24263,'worker','2026-11-29 15:48:28.836268','2026-11-29 15:48:30.036697','01a227fe-578b-71d7-b580-1cc0416a8fe0','','');
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
INSERT INTO `project_tb_project` VALUES (1,'桥','一期','2026-11-29 15:48:28.387946');
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

