"""Open trackers and forges: Zammad, iTop, GLPI, Znuny, Redmine, GitLab, Gitea."""
