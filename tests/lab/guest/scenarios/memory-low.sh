# No memory is left, and a shrinker that does not come back keeps everybody from reclaiming some.
storlab-task -n dbserver memory 24 &
storlab-task -n webserver memory 8 &
sleep 2
echo add-shrinker > /proc/storlab/control
tell_all
storlab-task -n memhog/1 hog-until-stuck &
storlab-task -n memhog/2 hog-until-stuck &
