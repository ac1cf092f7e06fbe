# Makes the two users when the database of Compose is first started. The image's entrypoint, which is bash, reads
# this file, and has the passwords in its environment: none is in a command line.
text=$(cat /etc/kernel/users.sql)
text=${text/"'PASSWORD'"/"'$KERNEL_PASSWORD'"}
text=${text/"'PASSWORD_OF_MIGRATE'"/"'$KERNEL_PASSWORD_OF_MIGRATE'"}
docker_process_sql <<< "$text"
