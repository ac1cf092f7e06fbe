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
DROP TABLE IF EXISTS `alembic_version`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `alembic_version` WRITE;
/*!40000 ALTER TABLE `alembic_version` DISABLE KEYS */;
INSERT INTO `alembic_version` VALUES ('0004');
/*!40000 ALTER TABLE `alembic_version` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `api_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `api_keys` (
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
  UNIQUE KEY `uq_api_keys_key_hash` (`key_hash`),
  KEY `ix_api_keys_caller_id` (`caller_id`),
  CONSTRAINT `fk_api_keys_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `api_keys` WRITE;
/*!40000 ALTER TABLE `api_keys` DISABLE KEYS */;
INSERT INTO `api_keys` VALUES (1,2,'kwo_jItEWyeE','05a6829ad986997a983556b0354ec95a4cfa91445005702bdcfdd7344b903aed','orders:read orders:write','2026-11-29 15:46:53.761776',NULL,NULL,'2026-11-29 15:47:30.780844');
INSERT INTO `api_keys` VALUES (2,3,'kwo_UaxW2Wq_','9a0cea2a94e10ff2d280c811b68d2bed5c2d84f9eb5ecb6dbd5487c1a5af427c','orders:read orders:write','2026-11-29 15:47:00.918170',NULL,NULL,'2026-11-29 15:47:30.947604');
INSERT INTO `api_keys` VALUES (3,2,'kwo_j1wdncs1','f7bb479684d40d947d4645ca90e11b981210e1fb29cb33e9790efaac582def87','operator','2026-11-29 15:47:08.779107',NULL,NULL,NULL);
/*!40000 ALTER TABLE `api_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `attempts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `attempts` (
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
  KEY `ix_attempts_delivery_id` (`delivery_id`),
  KEY `ix_attempts_started_at_reason` (`started_at`,`reason`),
  CONSTRAINT `fk_attempts_delivery_id` FOREIGN KEY (`delivery_id`) REFERENCES `deliveries` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `attempts` WRITE;
/*!40000 ALTER TABLE `attempts` DISABLE KEYS */;
INSERT INTO `attempts` VALUES (1,'01a227fd-7f4a-7428-8951-dcbd3e4e09b5',1,'2026-11-29 15:47:34.472557',257,200,NULL,'{\"connect\": 17.1, \"send\": 0.3, \"wait\": 1.7, \"read\": 0.2}','');
INSERT INTO `attempts` VALUES (2,'01a227fd-7b2e-749f-befd-4e12a99f398e',1,'2026-11-29 15:47:33.719957',1087,200,NULL,'{\"connect\": 58.8, \"send\": 0.2, \"wait\": 47.0, \"read\": 0.1}','');
INSERT INTO `attempts` VALUES (3,'01a227fd-805f-7122-9631-3aa833448e1c',1,'2026-11-29 15:47:34.937663',20,200,NULL,'{\"send\": 0.1, \"wait\": 19.4, \"read\": 0.1}','');
INSERT INTO `attempts` VALUES (4,'01a227fd-8270-7e97-832a-9ff53ee46732',1,'2026-11-29 15:47:35.270776',68,503,'http_5xx','{\"send\": 18.1, \"wait\": 49.5, \"read\": 0.1}','');
INSERT INTO `attempts` VALUES (5,'01a227fd-833a-7ec0-b5e5-3c22ffe51355',1,'2026-11-29 15:47:35.378671',47,503,'http_5xx','{\"send\": 0.3, \"wait\": 20.8, \"read\": 0.1}','');
/*!40000 ALTER TABLE `attempts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `callers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `callers` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `allow_nets` text NOT NULL,
  `allow_hosts` text NOT NULL,
  `headers` text NOT NULL,
  `schedule` text DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_callers_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `callers` WRITE;
/*!40000 ALTER TABLE `callers` DISABLE KEYS */;
INSERT INTO `callers` VALUES (1,'anonymous','2026-11-29 15:46:47.517674','[]','[]','{}',NULL);
INSERT INTO `callers` VALUES (2,'zammad','2026-11-29 15:46:53.761776','[]','[]','{}',NULL);
INSERT INTO `callers` VALUES (3,'otrs','2026-11-29 15:47:00.918170','[]','[]','{}',NULL);
/*!40000 ALTER TABLE `callers` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `deliveries`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `deliveries` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `order_id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `caller_id` int(11) NOT NULL,
  `origin` varchar(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `url` varchar(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `body` longblob NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `state` varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `next_attempt_at` datetime(6) NOT NULL,
  `late` tinyint(1) NOT NULL,
  `claim_token` varchar(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `attempt` int(11) NOT NULL,
  `tries` int(11) NOT NULL,
  `client_errors` int(11) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_deliveries_caller_id_id` (`caller_id`,`id`),
  KEY `ix_deliveries_order_id` (`order_id`),
  KEY `ix_deliveries_state_finished_at` (`state`,`finished_at`),
  KEY `ix_deliveries_state_late_caller_id_origin_next_attempt_at` (`state`,`late`,`caller_id`,`origin`,`next_attempt_at`),
  CONSTRAINT `fk_deliveries_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `callers` (`id`),
  CONSTRAINT `fk_deliveries_order_id` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `deliveries` WRITE;
/*!40000 ALTER TABLE `deliveries` DISABLE KEYS */;
INSERT INTO `deliveries` VALUES ('01a227fd-7b2e-749f-befd-4e12a99f398e','01a227fd-71b9-7483-98d1-2490926b8798',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/told',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766642D373162392D373438332D393864312D323439303932366238373938222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A22746F6C64227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33302E3837333238325A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33332E3239343238395A227D7D,'2026-11-29 15:47:33.294289','delivered','2026-11-29 15:48:18.639993',1,NULL,1,1,0,'2026-11-29 15:47:35.603770');
INSERT INTO `deliveries` VALUES ('01a227fd-7f4a-7428-8951-dcbd3e4e09b5','01a227fd-71ea-7d1e-8cbc-deeaf26b8426',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/built',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766642D373165612D376431652D386362632D646565616632366238343236222C2273656C6563745F746167223A226372656174655F70726F6A656374222C227374617465223A2273756363657373222C22726573756C74223A7B2270726F6A6E616D65223A22E6A1A5227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33302E3932323832305A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33342E3334363236305A227D7D,'2026-11-29 15:47:34.346260','delivered','2026-11-29 15:48:19.346445',1,NULL,1,1,0,'2026-11-29 15:47:35.603770');
INSERT INTO `deliveries` VALUES ('01a227fd-805f-7122-9631-3aa833448e1c','01a227fd-7222-7051-ad9f-d97520d8b1cb',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/refused',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766642D373232322D373035312D616439662D643937353230643862316362222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33302E3937383032305A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33342E3632333037315A227D7D,'2026-11-29 15:47:34.623071','delivered','2026-11-29 15:48:19.808477',1,NULL,1,1,0,'2026-11-29 15:47:35.603770');
INSERT INTO `deliveries` VALUES ('01a227fd-8270-7e97-832a-9ff53ee46732','01a227fd-81b8-7ea7-b74d-664c4a7221b2',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/owed',0x7B22737461747573223A302C226D7367223A2273756363657373222C2264617461223A7B226F726465725F6964223A2230316132323766642D383162382D376561372D623734642D363634633461373232316232222C2273656C6563745F746167223A22776F726B222C227374617465223A2273756363657373222C22726573756C74223A7B226E616D65223A226F776564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33342E3936383931365A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33352E3135323931325A227D7D,'2026-11-29 15:47:35.152912','pending','2026-11-29 15:48:40.700650',1,NULL,1,1,0,NULL);
INSERT INTO `deliveries` VALUES ('01a227fd-833a-7ec0-b5e5-3c22ffe51355','01a227fd-81d3-78ac-b63d-48f0685b8375',3,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/otrs/owed-too',0x7B22737461747573223A2D312C226D7367223A227468657265206973206E6F2073756368207468696E67222C2264617461223A7B226F726465725F6964223A2230316132323766642D383164332D373861632D623633642D343866303638356238333735222C2273656C6563745F746167223A22726566757365222C227374617465223A226661696C6564222C226572726F72223A7B22636F6465223A226E6F5F737563685F7468696E67222C226D657373616765223A227468657265206973206E6F2073756368207468696E67227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33342E3939353534325A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33352E3335343932325A227D7D,'2026-11-29 15:47:35.354922','pending','2026-11-29 15:48:37.267809',1,NULL,1,1,0,NULL);
INSERT INTO `deliveries` VALUES ('01a227fd-850d-777c-8e99-24e533def45f','01a227fd-8500-7391-99be-52ed80cd40e3',2,'http://127.0.0.1:@PORT@','http://127.0.0.1:@PORT@/zammad/cancelled',0x7B22737461747573223A2D312C226D7367223A2263616E63656C6C6564222C2264617461223A7B226F726465725F6964223A2230316132323766642D383530302D373339312D393962652D353265643830636434306533222C2273656C6563745F746167223A22776F726B222C227374617465223A2263616E63656C6C6564222C226572726F72223A7B22636F6465223A2263616E63656C6C6564222C226D657373616765223A2263616E63656C6C6564227D2C22637265617465645F6174223A22323032362D31312D32395431353A34373A33352E3830383232335A222C2266696E69736865645F6174223A22323032362D31312D32395431353A34373A33352E3832313436385A227D7D,'2026-11-29 15:47:35.821468','pending','2026-11-29 15:47:35.821468',0,NULL,0,0,0,NULL);
/*!40000 ALTER TABLE `deliveries` ENABLE KEYS */;
UNLOCK TABLES;
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
INSERT INTO `effects` VALUES ('01a227fd-71b9-7483-98d1-2490926b8798','begun');
INSERT INTO `effects` VALUES ('01a227fd-71b9-7483-98d1-2490926b8798','done');
INSERT INTO `effects` VALUES ('01a227fd-81b8-7ea7-b74d-664c4a7221b2','begun');
INSERT INTO `effects` VALUES ('01a227fd-81b8-7ea7-b74d-664c4a7221b2','done');
INSERT INTO `effects` VALUES ('01a227fd-83a0-7547-bf70-c141e63d27d2','begun');
/*!40000 ALTER TABLE `effects` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `minutes`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `minutes` (
  `began_at` datetime(6) NOT NULL,
  `accepted` int(11) NOT NULL,
  `finished` int(11) NOT NULL,
  `attempts` int(11) NOT NULL,
  `delivered` int(11) NOT NULL,
  `took` text NOT NULL,
  PRIMARY KEY (`began_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `minutes` WRITE;
/*!40000 ALTER TABLE `minutes` DISABLE KEYS */;
/*!40000 ALTER TABLE `minutes` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `orders`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `orders` (
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
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_orders_caller_id_idempotency_key` (`caller_id`,`idempotency_key`),
  KEY `ix_orders_caller_id_id` (`caller_id`,`id`),
  KEY `ix_orders_finished_at` (`finished_at`),
  KEY `ix_orders_state_id` (`state`,`id`),
  KEY `ix_orders_state_run_after` (`state`,`run_after`),
  KEY `ix_orders_state_select_tag_id` (`state`,`select_tag`,`id`),
  KEY `ix_orders_caller_id_state_select_tag_id` (`caller_id`,`state`,`select_tag`,`id`),
  CONSTRAINT `fk_orders_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `orders` WRITE;
/*!40000 ALTER TABLE `orders` DISABLE KEYS */;
INSERT INTO `orders` VALUES ('01a227fd-71b9-7483-98d1-2490926b8798',2,'work','{\"name\":\"told\"}','http://127.0.0.1:@PORT@/zammad/told','key-told','0c279e173e02844015327116e4ad36c60ba8f3ee730bd453565495f65797fc01','afc7287c749d998ca133e006b0dfaed6',NULL,'2026-11-29 15:47:30.873282','success','2026-11-29 15:47:30.873282',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:47:33.111446','2026-11-29 15:47:33.294289','success','{\"name\":\"told\"}',NULL);
INSERT INTO `orders` VALUES ('01a227fd-71ea-7d1e-8cbc-deeaf26b8426',2,'create_project','{\"projname\":\"桥\",\"prodesc\":\"一期\"}','http://127.0.0.1:@PORT@/zammad/built','key-built','1b7fbaf0cafd84412f15a53de58b0c38922f18b548ca2a07df5faf2d136600e4','b7f164dfeaa74a0fe8c6b97c6847b346',NULL,'2026-11-29 15:47:30.922820','success','2026-11-29 15:47:30.922820',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:47:34.224516','2026-11-29 15:47:34.346260','success','{\"projname\":\"桥\"}',NULL);
INSERT INTO `orders` VALUES ('01a227fd-7222-7051-ad9f-d97520d8b1cb',3,'refuse','{\"name\":\"refused\"}','http://127.0.0.1:@PORT@/otrs/refused','key-refused','07887fb23886895f85af765a1c686335432540fb729888bc1aadb5dc4ca41942','6bc30f1db3156dc7c3d67c3e79e6c12a',NULL,'2026-11-29 15:47:30.978020','failed','2026-11-29 15:47:30.978020',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:47:34.579117','2026-11-29 15:47:34.623071','there is no such thing',NULL,'no_such_thing');
INSERT INTO `orders` VALUES ('01a227fd-81b8-7ea7-b74d-664c4a7221b2',2,'work','{\"name\":\"owed\"}','http://127.0.0.1:@PORT@/zammad/owed','key-owed','f33f6f6fddadb29b988fd4d4782410528fc9fa03f689d501da11859a5c5901b7','a921d078637a5e71973cf3035e07f3cb',NULL,'2026-11-29 15:47:34.968916','success','2026-11-29 15:47:34.968916',1,1,0,NULL,NULL,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:47:35.026844','2026-11-29 15:47:35.152912','success','{\"name\":\"owed\"}',NULL);
INSERT INTO `orders` VALUES ('01a227fd-81d3-78ac-b63d-48f0685b8375',3,'refuse','{\"name\":\"owed-too\"}','http://127.0.0.1:@PORT@/otrs/owed-too','key-owed-too','b87d802cd2b452cbab994da32d9455c51ab95a79dbe85e86d9579a4232fa2e51','a78776504201cf83d39bb654eebe5cdb',NULL,'2026-11-29 15:47:34.995542','failed','2026-11-29 15:47:34.995542',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:47:35.333989','2026-11-29 15:47:35.354922','there is no such thing',NULL,'no_such_thing');
INSERT INTO `orders` VALUES ('01a227fd-8373-76f9-80c8-00df7009757e',2,'later','{\"name\":\"later\"}','http://127.0.0.1:@PORT@/zammad/later','key-later','13c7004cce418b045507c407d5f05712ed2d7bef47c0928227845b2cb15c842d','2bfa682e2768f77540cfb82a52c2e3bc',NULL,'2026-11-29 15:47:35.411436','pending','2026-11-29 15:47:40.500275',1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:47:35.462365',NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-83a0-7547-bf70-c141e63d27d2',3,'work','{\"name\":\"running\",\"hold\":true}','http://127.0.0.1:@PORT@/otrs/running','key-running','8f5bbf5d6eac854384286dc7aaa1c8bedd06559bc54ef44c55726a294a615eca','d061f1115cba973b97fc296a99b46ad4',NULL,'2026-11-29 15:47:35.456330','running','2026-11-29 15:47:35.456330',1,1,0,'2026-11-29 15:47:38.686627',21,NULL,1,2,'half done','{\"half\": true}','2026-11-29 15:47:35.632989',NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-8499-7e14-a294-c8adc874e055',2,'work','{\"name\":\"pending-0\"}','http://127.0.0.1:@PORT@/zammad/pending-0','key-pending-0','a5b216a072301e40473976afdaf2cd952bd7ea2da54f0585808bfb081d4637eb','25284844b7eeb8bd80363332c8c2f5ac',NULL,'2026-11-29 15:47:35.705880','pending','2026-11-29 15:47:35.705880',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-84a4-7c35-886e-13d07fadf408',3,'work','{\"name\":\"pending-1\"}','http://127.0.0.1:@PORT@/otrs/pending-1','key-pending-1','16b40acd1e3cf2fa7d500b218bc9df8b9871fdf320a35310e7f7191a4d1eda76','b4e146c0df53d443f603ba3cc1a6b320',NULL,'2026-11-29 15:47:35.716763','pending','2026-11-29 15:47:35.716763',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-84b9-7a6e-9471-476847aea007',2,'work','{\"name\":\"pending-2\"}','http://127.0.0.1:@PORT@/zammad/pending-2','key-pending-2','68c8363b7191c7169b2a3781523f8c9ae87597f640996e6a4058178e988159db','baabdcd78b39b803b715626e07182edb',NULL,'2026-11-29 15:47:35.737652','pending','2026-11-29 15:47:35.737652',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-84da-7399-b303-a40597debf99',3,'work','{\"name\":\"pending-3\"}','http://127.0.0.1:@PORT@/otrs/pending-3','key-pending-3','aafc8de13b8d2b175f62c1dfef17d8f5966360ad26ebfdd62223cdaf138bb942','495e559e8b2862ce9780f323db0564ff',NULL,'2026-11-29 15:47:35.770225','pending','2026-11-29 15:47:35.770225',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-84e5-7ec8-b006-a20f0b243e7d',2,'work','{\"name\":\"pending-4\"}','http://127.0.0.1:@PORT@/zammad/pending-4','key-pending-4','2e24683dd2b4434231193ddd4b5cfc0aea952e234ac7bd2283007ed5d5ece84f','e674c3df53eea4b0de49a2f533521afe',NULL,'2026-11-29 15:47:35.781924','pending','2026-11-29 15:47:35.781924',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `orders` VALUES ('01a227fd-8500-7391-99be-52ed80cd40e3',2,'work','{\"name\":\"cancelled\"}','http://127.0.0.1:@PORT@/zammad/cancelled','key-cancelled','c1e0f52017e39326828c5c14e841c25be9132828ad69a245cec9323ad2fc3e89','2a7a2a7afb48c1a8e203794cbdcffc32',NULL,'2026-11-29 15:47:35.808223','cancelled','2026-11-29 15:47:35.808223',0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29 15:47:35.821468','cancelled',NULL,'cancelled');
/*!40000 ALTER TABLE `orders` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `pauses`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `pauses` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `host` varchar(300) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
  `caller_id` int(11) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_pauses_caller_id` (`caller_id`),
  UNIQUE KEY `uq_pauses_host` (`host`),
  CONSTRAINT `fk_pauses_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `callers` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `pauses` WRITE;
/*!40000 ALTER TABLE `pauses` DISABLE KEYS */;
/*!40000 ALTER TABLE `pauses` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `process_metrics`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `process_metrics` (
  `id` varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `written_at` datetime(6) NOT NULL,
  `series` longtext NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `process_metrics` WRITE;
/*!40000 ALTER TABLE `process_metrics` DISABLE KEYS */;
INSERT INTO `process_metrics` VALUES ('01a227fd-51aa-7487-9c6d-555a3bbdd296','2026-11-29 15:47:35.844373','[[\"kernel_http_requests_total\", [\"GET\", \"/healthz\", \"200\"], [1.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/healthz\"], [0.0002206180001849134, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"work\"], [9.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders\", \"202\"], [13.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders\"], [0.2759818029994676, 2.0, 5.0, 4.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_orders_accepted_total\", [\"create_project\"], [1.0]], [\"kernel_orders_accepted_total\", [\"refuse\"], [2.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"202\"], [114.0]], [\"kernel_http_request_seconds\", [\"GET\", \"/v1/orders/<order_id>\"], [2.2321911349981747, 12.0, 8.0, 82.0, 15.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [\"kernel_http_requests_total\", [\"GET\", \"/v1/orders/<order_id>\", \"200\"], [5.0]], [\"kernel_orders_accepted_total\", [\"later\"], [1.0]], [\"kernel_http_requests_total\", [\"POST\", \"/v1/orders/<order_id>/cancel\", \"200\"], [1.0]], [\"kernel_http_request_seconds\", [\"POST\", \"/v1/orders/<order_id>/cancel\"], [0.01881098499984546, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]');
/*!40000 ALTER TABLE `process_metrics` ENABLE KEYS */;
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
INSERT INTO `project_tb_project` VALUES (1,'桥','一期','2026-11-29 15:47:34.277152');
/*!40000 ALTER TABLE `project_tb_project` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `select_tags`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `select_tags` (
  `tag` varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`tag`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `select_tags` WRITE;
/*!40000 ALTER TABLE `select_tags` DISABLE KEYS */;
INSERT INTO `select_tags` VALUES ('create_project','2026-11-29 15:47:34.099256');
INSERT INTO `select_tags` VALUES ('later','2026-11-29 15:47:34.099256');
INSERT INTO `select_tags` VALUES ('refuse','2026-11-29 15:47:34.099256');
INSERT INTO `select_tags` VALUES ('work','2026-11-29 15:47:34.099256');
/*!40000 ALTER TABLE `select_tags` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `service_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `service_keys` (
  `id` int(11) NOT NULL,
  `secret` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `service_keys` WRITE;
/*!40000 ALTER TABLE `service_keys` DISABLE KEYS */;
INSERT INTO `service_keys` VALUES (1,'94d7e28d6db01bbdbb06a1bc2efcff90362f1cab2f52332c049678682ee77011','2026-11-29 15:47:30.845659');
/*!40000 ALTER TABLE `service_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `signing_secrets`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `signing_secrets` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `caller_id` int(11) NOT NULL,
  `secret` varchar(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_signing_secrets_caller_id` (`caller_id`),
  CONSTRAINT `fk_signing_secrets_caller_id` FOREIGN KEY (`caller_id`) REFERENCES `callers` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `signing_secrets` WRITE;
/*!40000 ALTER TABLE `signing_secrets` DISABLE KEYS */;
INSERT INTO `signing_secrets` VALUES (1,1,'whsec_XyzEMCbn9htzPxPsNm83aGfE3/hFbgKkvjgynHfWfIc=','2026-11-29 15:46:47.517674',NULL);
INSERT INTO `signing_secrets` VALUES (2,2,'whsec_cITOELljeBenXW9HK7QoMx4iXVnhuyHMZsHuu8HaiNo=','2026-11-29 15:46:53.761776',NULL);
INSERT INTO `signing_secrets` VALUES (3,3,'whsec_OiEUpURb4imYU6DKVETB/8vKdmZ5lg6wKh74egf9sdA=','2026-11-29 15:47:00.918170',NULL);
/*!40000 ALTER TABLE `signing_secrets` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `sweeps`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `sweeps` (
  `id` int(11) NOT NULL,
  `swept_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `sweeps` WRITE;
/*!40000 ALTER TABLE `sweeps` DISABLE KEYS */;
INSERT INTO `sweeps` VALUES (1,'2026-11-29 15:47:35.194255');
/*!40000 ALTER TABLE `sweeps` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `workers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `workers` (
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

LOCK TABLES `workers` WRITE;
/*!40000 ALTER TABLE `workers` DISABLE KEYS */;
INSERT INTO `workers` VALUES ('01a227fd-820f-7395-b87e-45ba68fd9e40','old-host',23573,'worker','2026-11-29 15:47:35.055224','2026-11-29 15:47:35.055224','','','');
/*!40000 ALTER TABLE `workers` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

