// The real kube-apiserver with an etcd of its own inside: one process, for tests. Its flags are the server's own; where etcd
// keeps its data and answers is told by ETCD_DIR, ETCD_URL and ETCD_PEER_URL.
package main

import (
	"fmt"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if err := startEtcd(); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}

func startEtcd() error {
	client, err := url.Parse(os.Getenv("ETCD_URL"))
	if err != nil {
		return err
	}
	peer, err := url.Parse(os.Getenv("ETCD_PEER_URL"))
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = os.Getenv("ETCD_DIR")
	config.LogLevel = "error"
	// What is lost with the machine may be lost: these are tests.
	config.UnsafeNoFsync = true
	config.ListenClientUrls = []url.URL{*client}
	config.AdvertiseClientUrls = []url.URL{*client}
	config.ListenPeerUrls = []url.URL{*peer}
	config.AdvertisePeerUrls = []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	<-server.Server.ReadyNotify()
	return nil
}
